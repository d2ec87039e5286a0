"""Sample data for the first start: five rules that show what the engine does."""

from dataclasses import dataclass, field
from typing import Any, Final

from django.db.transaction import atomic

from campaigns.domain.states import Kind
from campaigns.journeys.publishing import publish
from campaigns.models import (
    Company,
    Provider,
    Rule,
    Sender,
    Source,
    SourceKey,
    Template,
    Topic,
)
from campaigns.receive.auth import hash_key
from demo.samples.templates import TEMPLATES, SampleTemplate

BY: Final = "samples"
SHOWN_CHARS: Final = 6
WEEKDAYS: Final = [0, 1, 2, 3, 4]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRule:
    """One rule of one step and one variant."""

    name: str
    description: str
    events: tuple[str, ...]
    template: str
    kind: Kind = Kind.MARKETING
    rule: dict[str, Any] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)


RULES: Final = (
    SampleRule(
        name="Welcome",
        description="Greets everybody who signs up, at once and only once.",
        events=("Signed Up", "user.signup"),
        template="Welcome",
        rule={"cooldown_amount": 365},
    ),
    SampleRule(
        name="Product follow-up",
        description="An hour after a look at a product; once a week at most.",
        events=("Product Viewed", "product.viewed"),
        template="Product follow-up",
        rule={"cooldown_amount": 7},
        step={"delay_amount": 1, "delay_unit": "hours"},
    ),
    SampleRule(
        name="Cart recovery",
        description=(
            "Two hours after the last change of a cart, unless it was bought meanwhile."
        ),
        events=("Cart Updated", "cart.abandoned"),
        template="Cart reminder",
        rule={
            "cooldown_amount": 1,
            "cooldown_key": "cart_id",
            "retrigger": "restart",
            "exit_events": ["Order Completed", "order.completed"],
            "exit_key": "cart_id",
            "goal_event": "Order Completed",
        },
        step={"delay_amount": 2, "delay_unit": "hours"},
    ),
    SampleRule(
        name="Receipt",
        description="The receipt of an order, at once.",
        events=("Order Completed",),
        template="Receipt",
        kind=Kind.TRANSACTIONAL,
        rule={"cooldown_amount": 1, "cooldown_key": "order_id"},
    ),
    SampleRule(
        name="Pricing help",
        description=(
            "Offers help an hour after a visit to the prices, in office hours of the "
            "customer's own time zone."
        ),
        events=("Visited Pricing Page",),
        template="Pricing help",
        rule={"cooldown_amount": 14},
        step={
            "delay_amount": 1,
            "delay_unit": "hours",
            "weekdays": WEEKDAYS,
            "send_from": "09:00",
            "send_until": "17:00",
        },
    ),
)


def seed(*, write_key: str, live: bool) -> None:
    """Fill an empty database; `live` publishes the rules, else they stay drafts.

    `write_key` becomes the key of the sample source. All or nothing: a crash
    leaves the database as empty as it was, and the next start tries again.
    """
    with atomic():
        source = Source.objects.create(name="My backend", kind="segment")
        SourceKey.objects.create(
            source=source,
            key_hash=hash_key(write_key),
            prefix=write_key[:SHOWN_CHARS],
        )
        Company.objects.update_or_create(
            pk=1, defaults={"name": "Acorn Supply", "time_zone": "UTC"}
        )
        sender = _sender()
        topic, _ = Topic.objects.get_or_create(
            slug="tips",
            defaults={
                "name": "Tips and offers",
                "description": "Help with what you looked at, and now and then an offer.",
            },
        )
        templates = {sample.name: _template(sample) for sample in TEMPLATES}
        rules = [_rule(r, sender, topic, templates[r.template]) for r in RULES]
        if live:
            for rule in rules:
                publish(rule.pk, by=BY)


def _sender() -> Sender:
    provider, _ = Provider.objects.get_or_create(name="SendGrid")
    sender, _ = Sender.objects.get_or_create(
        name="Shop",
        defaults={
            "from_name": "Acorn Supply",
            "from_email": "hello@acorn-supply.example",
            "company_name": "Acorn Supply Ltd",
            "postal_address": "1 Oak Street, 12345 Springfield",
            "provider": provider,
        },
    )
    return sender


def _template(sample: SampleTemplate) -> Template:
    return Template.objects.create(
        name=sample.name,
        subject=sample.subject,
        preheader=sample.preheader,
        html=sample.html,
        text=sample.text,
    )


def _rule(sample: SampleRule, sender: Sender, topic: Topic, template: Template) -> Rule:
    rule = Rule.objects.create(
        name=sample.name,
        description=sample.description,
        kind=sample.kind,
        topic=None if sample.kind is Kind.TRANSACTIONAL else topic,
        sender=sender,
        trigger_events=list(sample.events),
        salt=sample.name.lower().replace(" ", "-"),
        **sample.rule,
    )
    step = rule.steps.create(**sample.step)
    step.variants.create(name="A", template=template)
    return rule
