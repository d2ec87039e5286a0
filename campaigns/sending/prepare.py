"""Render claimed mails before any lock is taken; the gate checks that it still holds."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from campaigns.deciding import clock, database, rulesets
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.database import Result, Row, call
from campaigns.deciding.load import person_of_row
from campaigns.deciding.transaction import owners_of
from campaigns.deciding.triggers import GONE, TriggerRow, read_triggers, triggers_of
from campaigns.domain.liquid import TemplateInvalid, context_of
from campaigns.domain.people import EventRef, Mail, Person, State
from campaigns.domain.states import Kind
from campaigns.domain.steps import Trigger
from campaigns.domain.timing import zone_of
from campaigns.providers.base import Provider, Unfit
from campaigns.rendering.compose import compose
from campaigns.rendering.links import unsubscribe_url
from campaigns.rendering.parts import MailParts, Sources
from campaigns.sending.accounts import connected
from campaigns.sending.claim import Claim

logger = logging.getLogger(__name__)

MAX_PROBLEM_CHARS: Final = 500
UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rendered mail, or why it could not be, and the facts it was made of."""

    packed: bytes | None  # as its provider takes it
    problem: str
    context: Mapping[str, object]
    trigger: Trigger
    account: Provider | None = None
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
    version: int | None
    template_version: int
    kind: Kind
    variant: int
    token: UUID
    provider: int
    trigger: EventRef | None
    woken_by: int | None


@dataclass(frozen=True, slots=True)
class _Sender:
    from_email: str
    from_name: str
    reply_to: str
    company_name: str
    postal_address: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What mails of a batch share."""

    sources: Mapping[int, Sources]
    senders: Mapping[int, _Sender]
    topics: Mapping[int, str]
    accounts: Mapping[int, Provider]


def prepare(claims: Sequence[Claim]) -> dict[int, Prepared]:
    """Render these mails; one that cannot be has its problem said instead.

    A mail whose customer's row is gone is left out: `rescue` ends it.
    """
    ids = [c.id for c in claims]
    mails, owners, *shared = database.run_all(
        [
            call("mails_to_prepare", ids=ids),
            owners_of(c.customer for c in claims),
            call("templates_to_prepare", ids=ids),
            call("senders"),
            call("topic_names"),
            call("provider_kinds"),
        ]
    )
    rows = [_row(r) for r in mails.rows]
    survivor: dict[int, int] = dict(owners.rows)
    # As claimed: whoever the mail was moved to since is the survivor found here.
    owner = {c.id: survivor[c.customer] for c in claims if c.customer in survivor}
    refs = [row.trigger for row in rows if row.trigger]
    found, events = database.run_all(
        [call("read_people", ids=set(owner.values())), read_triggers(refs)]
    )
    people = {p.id: p for p in map(person_of_row, found.rows)}
    triggers = triggers_of(refs, events)
    known = _known(shared, used={row.provider for row in rows})
    return {
        row.id: _prepare(
            row,
            people[owner[row.id]],
            triggers[row.trigger.id] if row.trigger else GONE,
            known,
        )
        for row in rows
        if owner.get(row.id) in people
    }


def _known(shared: Sequence[Result], *, used: Collection[int]) -> _Known:
    templates, senders, topics, providers = (result.rows for result in shared)
    return _Known(
        sources={
            version: Sources(
                version=version, subject=subject, preheader=pre, html=html, text=text
            )
            for version, subject, pre, html, text in templates
        },
        senders={row[0]: _Sender(*row[1:]) for row in senders},
        topics=dict(topics),
        accounts=_accounts(row for row in providers if row[0] in used),
    )


def _accounts(providers: Iterable[Row]) -> dict[int, Provider]:
    """Return the providers that can be used; one that is set up wrong stops no other."""
    found = {}
    for pk, kind in providers:
        try:
            found[pk] = connected(kind)
        except ValueError:
            logger.exception("provider %s cannot be used", pk)
    return found


def _row(row: Row) -> _Row:
    return _Row(
        id=row[0],
        version=row[1],
        template_version=row[2],
        kind=Kind(row[3]),
        variant=row[4],
        token=row[5],
        provider=row[6] or 0,
        trigger=None if row[7] is None else EventRef(row[7], row[8], row[9]),
        woken_by=row[10],
    )


def _prepare(row: _Row, person: Person, found: TriggerRow, known: _Known) -> Prepared:
    account = known.accounts.get(row.provider)
    made = Prepared(
        packed=None,
        problem="",
        context={},
        trigger=found.trigger,
        account=account,
        variant=row.variant,
        template_version=row.template_version,
        trigger_id=row.trigger.id if row.trigger else None,
        facts=person.facts,
    )
    if not person.email:
        return made
    try:
        parts = _parts(row, person, found, known)
        email = compose(parts)
        packed = account.pack(email) if account else None
    except TemplateInvalid as error:
        return replace(made, problem=str(error))
    except Unfit as unfit:
        return replace(made, payload_problem=str(unfit)[:MAX_PROBLEM_CHARS])
    except Exception as error:  # one mail must not stop the others
        logger.exception(
            "message %s could not be rendered", row.id, extra={"message_id": row.id}
        )
        failed = f"Rendering failed unexpectedly ({type(error).__name__}); see the log."
        return replace(made, problem=failed)
    return replace(made, packed=packed, context=parts.context)


def _parts(row: _Row, person: Person, found: TriggerRow, known: _Known) -> MailParts:
    """Return what the mail is made of; raises TemplateInvalid for what it lacks."""
    sources = known.sources.get(row.template_version)
    version = rulesets.published(row.version) if row.version else None
    sender = known.senders.get(version.document.sender) if version else None
    if sources is None:
        raise TemplateInvalid("The template of this mail no longer exists.")
    if version is None:
        raise TemplateInvalid("The rule version of this mail no longer exists.")
    if sender is None:
        raise TemplateInvalid("The sender of this mail no longer exists.")
    if found.occurred_at is None:
        raise TemplateInvalid("The event that this mail speaks of is no longer kept.")
    context = context_of(
        customer=person.facts,
        event_name=found.trigger.name,
        properties=found.trigger.properties,
        context=found.trigger.context,
        occurred_at=found.occurred_at,
        extra={"journey": {"woken_by": row.woken_by}, "now": _now_of(person)},
    )
    doc = version.document
    email = person.email or ""
    marketing = row.kind is not Kind.TRANSACTIONAL
    link = unsubscribe_url(row.id, person.id, doc.topic, address_hash(email))
    return MailParts(
        sources=sources,
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
        topic_name=known.topics.get(doc.topic or 0, ""),
        unsubscribe_url=link if marketing else "",
        list_domain=sender.from_email.rpartition("@")[2],
        campaign=f"rule-{version.rule}",
        language=person.locale or "en",
    )


def _now_of(person: Person) -> str:
    """Return what "now" is in a template: in the person's zone, UTC if it is unknown."""
    return clock.now().astimezone(zone_of(person.time_zone, UTC)).isoformat()


def _name_of(person: Person) -> str:
    """Return the name for the To line, of the usual traits; '' if none is known."""
    for trait in ("name", "first_name", "firstName"):
        value = person.traits.get(trait)
        if isinstance(value, str) and value.strip():
            return value.strip()[:100]
    return ""
