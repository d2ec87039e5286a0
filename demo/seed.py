"""Sample data for the first start: five rules that show what the engine does."""

from typing import Final

from django.db.transaction import atomic

from campaigns.domain.events import Trust
from campaigns.domain.states import Kind
from campaigns.journeys.publishing import publish
from campaigns.journeys.templates import publish_template
from campaigns.models import (
    Company,
    Provider,
    Rule,
    Sender,
    Source,
    Template,
    Topic,
)
from campaigns.receive.auth import keep_key
from demo.samples.events import CUSTOMER, EVENTS
from demo.samples.rules import RULES, SampleRule
from demo.samples.templates import TEMPLATES, SampleTemplate

BY: Final = "samples"
BACKEND: Final = "My backend"
WEBSITE: Final = "My website"


def seed(*, write_key: str, live: bool) -> None:
    """Fill a database without rules; `live` publishes them, else they stay drafts.

    `write_key` becomes the key of the sample backend; the website's source has
    none yet (`create_source "My website" --kind segment --public` makes one).
    All or nothing: a crash leaves the database as empty as it was, and the next
    start tries again. Does nothing where a rule exists.
    """
    with atomic():
        if Rule.objects.exists():
            return
        _sources(write_key)
        Company.objects.update_or_create(
            pk=1, defaults={"name": "Acorn Supply", "time_zone": "UTC"}
        )
        sender, topic = _sender(), _topic()
        templates = {sample.name: _template(sample) for sample in TEMPLATES}
        rules = [_rule(r, sender, topic, templates[r.template]) for r in RULES]
        if live:
            for rule in rules:
                publish(rule.pk, by=BY)


def _sources(write_key: str) -> None:
    backend, _ = Source.objects.get_or_create(
        name=BACKEND, defaults={"kind": "segment", "trust": Trust.SECRET}
    )
    keep_key(backend, write_key)
    Source.objects.get_or_create(
        name=WEBSITE, defaults={"kind": "segment", "trust": Trust.PUBLIC}
    )


def _sender() -> Sender:
    provider, _ = Provider.objects.get_or_create(name="SendGrid")
    sender, _ = Sender.objects.get_or_create(
        name="Shop",
        defaults={
            "from_name": "Acorn Supply",
            "from_email": "hello@acorn-supply.example",
            "company_name": "Acorn Supply Ltd",
            "postal_address": "1 Oak Street\n12345 Springfield",
            "provider": provider,
        },
    )
    return sender


def _topic() -> Topic:
    topic, _ = Topic.objects.get_or_create(
        slug="tips",
        defaults={
            "name": "Tips and offers",
            "description": "Help with what you looked at, and now and then an offer.",
        },
    )
    return topic


def _template(sample: SampleTemplate) -> Template:
    name, properties = EVENTS[sample.slug]
    template, _ = Template.objects.get_or_create(
        name=sample.name,
        defaults={
            "subject": sample.subject,
            "preheader": sample.preheader,
            "html": sample.html,
            "text": sample.text,
            "sample": {
                "event": {"name": name, "properties": properties},
                "customer": dict(CUSTOMER),
            },
        },
    )
    publish_template(template.pk, by=BY)
    return template


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
