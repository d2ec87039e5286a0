"""Render claimed mails before any lock is taken; the gate checks that it still holds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from campaigns.deciding import database, rulesets
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.load import person_of_row
from campaigns.deciding.transaction import roots
from campaigns.deciding.triggers import GONE, TriggerRow, load_triggers
from campaigns.domain.liquid import TemplateInvalid, context_of
from campaigns.domain.mail import OutgoingEmail
from campaigns.domain.people import EventRef, Mail, Person, State
from campaigns.domain.ruleset import Version
from campaigns.domain.states import Kind
from campaigns.domain.steps import Trigger
from campaigns.models import Sender, Topic
from campaigns.providers.base import Provider
from campaigns.rendering.compose import compose
from campaigns.rendering.links import unsubscribe_url
from campaigns.rendering.parts import MailParts, Sources
from campaigns.sending.accounts import connected
from campaigns.sending.claim import Claim

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rendered mail, or why it could not be, and the facts it was made of."""

    email: OutgoingEmail | None
    problem: str
    context: Mapping[str, object]
    trigger: Trigger
    variant: int = 0
    template_version: int = 0
    trigger_id: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    payload_problem: str = ""

    def agrees(self, mail: Mail, state: State) -> bool:
        """Return whether the mail would be rendered the same with today's facts."""
        journey = state.journeys.get(mail.journey or 0)
        return (
            (self.variant, self.template_version)
            == (mail.variant, mail.template_version)
            and self.facts == state.person.facts
            and (journey is None or journey.trigger.id == self.trigger_id)
        )


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    customer: int
    version: int | None
    template_version: int
    kind: Kind
    step: int
    variant: int
    token: UUID
    subject: str | None
    preheader: str
    html: str
    text: str
    trigger: EventRef | None
    woken_by: int | None
    provider: int


@dataclass(frozen=True, slots=True)
class _Known:
    """The few rows that every mail of a batch may need."""

    senders: Mapping[int, Sender]
    topics: Mapping[int, str]


def prepare(claims: Sequence[Claim]) -> dict[int, Prepared]:
    """Render these mails; one that cannot be has its problem said instead."""
    rows = [
        _row(r) for r in database.run("mails_to_prepare", ids=[c.id for c in claims])
    ]
    owner = roots(r.customer for r in rows)
    people = {
        p.id: p
        for p in map(
            person_of_row, database.run("read_people", ids=set(owner.values()))
        )
    }
    triggers = load_triggers(r.trigger for r in rows if r.trigger)
    known = _Known(
        Sender.objects.in_bulk(), dict(Topic.objects.values_list("pk", "name"))
    )
    providers = connected(r.provider for r in rows)
    made = {
        row.id: _prepare(
            row,
            people[owner[row.customer]],
            triggers[row.trigger.id] if row.trigger else GONE,
            known,
        )
        for row in rows
    }
    return {row.id: _checked(made[row.id], providers.get(row.provider)) for row in rows}


def _checked(made: Prepared, provider: Provider | None) -> Prepared:
    """Return it with what the provider would never take of it."""
    if made.email is None or provider is None:
        return made
    return replace(made, payload_problem=provider.problem(made.email))


def _prepare(row: _Row, person: Person, found: TriggerRow, known: _Known) -> Prepared:
    made = Prepared(
        email=None,
        problem="",
        context={},
        trigger=found.trigger,
        variant=row.variant,
        template_version=row.template_version,
        trigger_id=row.trigger.id if row.trigger else None,
        facts=person.facts,
    )
    if not person.email:
        return made
    version = rulesets.published(row.version) if row.version else None
    sender = known.senders.get(version.document.sender) if version else None
    problem = _missing(row, version, sender, found)
    if problem or version is None or sender is None or found.occurred_at is None:
        return replace(made, problem=problem)
    try:
        context = context_of(
            customer=person.facts,
            event_name=found.trigger.name,
            properties=found.trigger.properties,
            context=found.trigger.context,
            occurred_at=found.occurred_at,
            extra={"journey": {"woken_by": row.woken_by}},
        )
        topic = known.topics.get(version.document.topic or 0, "")
        email = compose(_parts(row, person, sender, version, topic, context))
    except TemplateInvalid as error:
        return replace(made, problem=str(error))
    except Exception as error:  # one mail must not stop the others
        logger.exception(
            "message %s could not be rendered", row.id, extra={"message_id": row.id}
        )
        failed = f"Rendering failed unexpectedly ({type(error).__name__}); see the log."
        return replace(made, problem=failed)
    return replace(made, email=email, context=context)


def _missing(
    row: _Row, version: Version | None, sender: Sender | None, found: TriggerRow
) -> str:
    """Return what the mail lacks, in a sentence for people; '' if nothing."""
    if row.subject is None:
        return "The template of this mail no longer exists."
    if version is None:
        return "The rule version of this mail no longer exists."
    if sender is None:
        return "The sender of this mail no longer exists."
    if found.occurred_at is None:
        return "The event that this mail speaks of is no longer kept."
    return ""


def _parts(
    row: _Row,
    person: Person,
    sender: Sender,
    version: Version,
    topic: str,
    context: Mapping[str, object],
) -> MailParts:
    doc = version.document
    email = person.email or ""
    marketing = row.kind is not Kind.TRANSACTIONAL
    link = unsubscribe_url(row.id, person.id, doc.topic, address_hash(email))
    return MailParts(
        sources=Sources(
            version=row.template_version,
            subject=row.subject or "",
            preheader=row.preheader,
            html=row.html,
            text=row.text,
        ),
        context=context,
        kind=row.kind,
        message_id=row.id,
        token=str(row.token),
        to_email=email,
        to_name=_name_of(person),
        from_email=sender.from_email,
        from_name=sender.from_name,
        reply_to=sender.reply_to,
        company=sender.company_name,
        postal_address=sender.postal_address,
        topic_id=doc.topic,
        topic_name=topic,
        unsubscribe_url=link if marketing else "",
        list_domain=sender.from_email.rpartition("@")[2],
        campaign=f"rule-{version.rule}",
        language=person.locale or "en",
    )


def _name_of(person: Person) -> str:
    """Return the name for the To line, of the usual traits; '' if none is known."""
    for trait in ("name", "first_name", "firstName"):
        value = person.traits.get(trait)
        if isinstance(value, str) and value.strip():
            return value.strip()[:100]
    return ""


def _row(row: database.Row) -> _Row:
    trigger = EventRef(row[12], row[13], row[14]) if row[12] is not None else None
    return _Row(
        id=row[0],
        customer=row[1],
        version=row[2],
        template_version=row[3],
        kind=Kind(row[4]),
        step=row[5],
        variant=row[6],
        token=row[7],
        subject=row[8],
        preheader=row[9] or "",
        html=row[10] or "",
        text=row[11] or "",
        trigger=trigger,
        woken_by=row[15],
        provider=row[16] or 0,
    )
