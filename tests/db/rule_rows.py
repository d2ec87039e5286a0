"""Rules as a marketer would have them in the admin, and events of people."""

import secrets
from datetime import UTC, datetime

from django.utils import timezone

from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.ingest import partitions
from campaigns.ingest.record import record
from campaigns.models import Customer, Rule, Source, Step, Template, Variant
from tests.db.mail_rows import a_sender, a_topic

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def a_template(**values):
    name = values.pop("name", f"Welcome {secrets.token_hex(4)}")
    html = "<p>Hello {{ customer.first_name | default: 'there' }}</p>"
    given = {"subject": "Hello", "html": html, **values}
    return Template.objects.create(name=name, **given)


def a_rule(*, template=None, delay=1, **values):
    """A marketing rule in draft: one step, an hour after "Signed Up"."""
    given = {
        "name": f"Welcome {secrets.token_hex(4)}",
        "trigger_events": ["Signed Up"],
        "salt": secrets.token_hex(8),
        **values,
    }
    if "sender" not in given:
        given["sender"] = a_sender()
    if "topic" not in given:
        given["topic"] = a_topic()
    rule = Rule.objects.create(**given)
    step = Step.objects.create(rule=rule, delay_amount=delay)
    Variant.objects.create(step=step, template=template or a_template())
    return rule


def a_source():
    found, _ = Source.objects.get_or_create(name="Shop backend")
    return SourceRef(id=found.pk, name=found.name, trust=Trust.SECRET)


def happened(user, name="Signed Up", *, at=None, **properties):
    """Record that a person did something; return the customer."""
    event = IncomingEvent(
        message_id=secrets.token_hex(8),
        type=EventType.TRACK,
        name=name,
        user_id=user,
        properties=properties,
        occurred_at=at or timezone.now(),
    )
    identify = IncomingEvent(
        message_id=secrets.token_hex(8),
        type=EventType.IDENTIFY,
        user_id=user,
        traits={"email": f"{user}@example.com", "first_name": user.title()},
        occurred_at=at or timezone.now(),
    )
    partitions.forget()  # a rolled back test takes its month's table with it
    taken = record([identify, event], source=a_source())
    assert not taken.refused, taken.refused
    return Customer.objects.get(user_id=user)
