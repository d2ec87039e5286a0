"""Render claimed mails before any lock is taken; the gate checks that it still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from campaigns.deciding import database, rulesets
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.load import bigints, person_of_row
from campaigns.deciding.transaction import roots
from campaigns.deciding.triggers import GONE, TriggerRow, load_triggers
from campaigns.domain.liquid import TemplateInvalid, context_of
from campaigns.domain.mail import OutgoingEmail
from campaigns.domain.people import EventRef, Mail, Person, State
from campaigns.domain.states import Kind
from campaigns.domain.steps import Trigger
from campaigns.models import Sender
from campaigns.rendering.compose import MailParts, compose
from campaigns.rendering.links import unsubscribe_url
from campaigns.sending.claim import Claim


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


def prepare(claims: Sequence[Claim]) -> dict[int, Prepared]:
    """Render these mails; one that cannot be has its problem said instead."""
    rows = [
        _row(r)
        for r in database.run("mails_to_prepare", ids=bigints(c.id for c in claims))
    ]
    owner = roots(r.customer for r in rows)
    people = {
        p.id: p
        for p in map(
            person_of_row, database.run("read_people", ids=bigints(set(owner.values())))
        )
    }
    triggers = load_triggers(r.trigger for r in rows if r.trigger)
    senders = Sender.objects.in_bulk()
    return {
        row.id: _prepare(
            row,
            people[owner[row.customer]],
            triggers[row.trigger.id] if row.trigger else GONE,
            senders,
        )
        for row in rows
    }


def _prepare(
    row: _Row, person: Person, found: TriggerRow, senders: Mapping[int, Sender]
) -> Prepared:
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
    version = rulesets.published(row.version) if row.version else None
    sender = senders.get(version.document.sender) if version else None
    if row.subject is None or version is None or sender is None:
        missing = "template" if row.subject is None else "sender"
        return _with(made, problem=f"The {missing} of this mail no longer exists.")
    topic = version.document.topic
    key = address_hash(person.email) if person.email else b""
    link = unsubscribe_url(row.id, person.id, topic, key)
    context = context_of(
        customer=person.facts,
        event_name=found.trigger.name,
        properties=found.trigger.properties,
        context=found.trigger.context,
        occurred_at=found.occurred_at,
        extra={
            "journey": {"woken_by": row.woken_by},
            "unsubscribe_url": link,
            "sender": {"name": sender.from_name, "address": sender.postal_address},
            "company": sender.company_name,
        },
    )
    try:
        email = compose(
            _parts(row, person, sender, version.document.name, context, link)
        )
    except TemplateInvalid as error:
        return _with(made, problem=str(error), context=context)
    return _with(made, email=email, context=context)
