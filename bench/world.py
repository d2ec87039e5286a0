"""A small shop: a source with a key, a sender, rules, and many people.

Made through the product's own functions where they can make it, and by
generate_series where there are too many rows for that.
"""

from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bench.place import execute
from campaigns.deciding import clock, rulesets
from campaigns.deciding.transaction import Decision, decide
from campaigns.domain.events import SourceRef, Trust
from campaigns.domain.states import Kind
from campaigns.ingest import partitions
from campaigns.journeys.publishing import publish
from campaigns.models import (
    Company,
    Provider,
    Rule,
    RuleVersion,
    Sender,
    Source,
    SourceKey,
    Template,
    Topic,
)
from campaigns.receive.auth import hash_key
from demo.samples.templates import TEMPLATES, SampleTemplate

KEY: Final = "bench-write-key"
ENTERS: Final = "Added"  # an event that starts a journey
PASSES: Final = "Looked"  # one that no rule waits for
BY: Final = "bench"
USUAL: Final = next(t for t in TEMPLATES if t.slug == "cart_reminder")
# Where rendering is not what is measured, and would be all that is.
LIGHT: Final = SampleTemplate(
    slug="light",
    name="Light",
    kind=Kind.MARKETING,
    subject="Hello",
    preheader="",
    html="<p>Hello {{ customer.first_name | default: 'there' }}</p>",
)
PEOPLE: Final = """
    INSERT INTO campaigns_customer (
      id, born_as, created_at, bucket, user_id, email, email_trusted, traits,
      trait_times, time_zone, locale, merged_ids, updated_at)
    SELECT g, 'user:u' || g, now(), g %% 10000, 'u' || g, 'u' || g || '@example.com',
           true, '{"first_name": "Ada"}', '{}', '', '', '{}', now()
    FROM generate_series(%s::bigint, %s::bigint) g
"""
NAMES: Final = """
    INSERT INTO campaigns_identity (namespace, value, customer_id)
    SELECT 0, 'u' || g, g FROM generate_series(%s::bigint, %s::bigint) g
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """What events and rules of the bench name."""

    source: SourceRef
    provider: int
    sender: Sender
    topic: Topic
    template: Template


def open_shop(*, mail: SampleTemplate = USUAL) -> Shop:
    """Make company, provider, sender, topic, template and source, and partitions."""
    Company.objects.update_or_create(
        pk=1, defaults={"name": "Acorn Supply", "time_zone": "UTC"}
    )
    provider = Provider.objects.create(
        name="sendgrid", rate_per_s=1e6, burst=10**6, tokens=1e6
    )
    sender = Sender.objects.create(
        name="Shop",
        from_name="Acorn Supply",
        from_email="hello@acorn-supply.example",
        company_name="Acorn Supply Ltd",
        postal_address="1 Oak Street\n12345 Springfield",
        provider=provider,
    )
    template = Template.objects.create(
        name=mail.name,
        subject=mail.subject,
        preheader=mail.preheader,
        html=mail.html,
        text=mail.text,
    )
    source = Source.objects.create(name="backend", trust=Trust.SECRET)
    SourceKey.objects.create(source=source, key_hash=hash_key(KEY), prefix=KEY[:6])
    now = clock.now()
    # Histories begin in the months before.
    partitions.create(partitions.month_of(now) - timedelta(days=1))
    partitions.create_ahead(now)
    return Shop(
        source=SourceRef(source.pk, source.name, Trust.SECRET),
        provider=provider.pk,
        sender=sender,
        topic=Topic.objects.create(slug="tips", name="Tips and offers"),
        template=template,
    )


def add_rule(
    shop: Shop,
    name: str,
    event: str,
    *,
    delay_hours: int = 2,
    cooldown_key: str = "cart_id",
) -> Rule:
    """Publish a marketing rule of one step, with a cooldown of a day."""
    rule = Rule.objects.create(
        name=name,
        kind=Kind.MARKETING,
        topic=shop.topic,
        sender=shop.sender,
        trigger_events=[event],
        cooldown_amount=1,
        cooldown_key=cooldown_key,
        salt=name[:32],
    )
    step = rule.steps.create(delay_amount=delay_hours, delay_unit="hours")
    step.variants.create(name="A", template=shop.template)
    publish(rule.pk, by=BY)
    return Rule.objects.get(pk=rule.pk)


def add_copies(rule: Rule, count: int, *, names: int) -> None:
    """Have `count` active rules like this one, on events "Added 0" to `names` - 1."""
    assert rule.current is not None  # noqa: S101 - it is published
    document = rule.current.document

    def work(decision: Decision) -> None:
        made = Rule.objects.bulk_create(
            [_copied(rule, number, names) for number in range(count)], 1000
        )
        versions = [_version_of(each, document, decision) for each in made]
        for each, version in zip(
            made, RuleVersion.objects.bulk_create(versions, 1000), strict=True
        ):
            each.current, each.status = version, "active"
        Rule.objects.bulk_update(made, ["current", "status"], 1000)
        rulesets.bump()

    decide(work, exclusive=True)


def _copied(rule: Rule, number: int, names: int) -> Rule:
    made = copy(rule)
    made._state = copy(rule._state)  # noqa: SLF001 - as Django's own docs copy rows
    made._state.adding = True  # noqa: SLF001
    made.pk, made.name, made.salt = None, f"rule {number}", f"salt {number}"
    made.trigger_events = [f"{ENTERS} {number % names}"]
    made.current, made.status = None, "draft"
    return made


def _version_of(
    rule: Rule, document: dict[str, object], decision: Decision
) -> RuleVersion:
    trigger = document["trigger"]
    assert isinstance(trigger, dict)  # noqa: S101 - by its schema
    changed = {
        "rule": rule.pk,
        "name": rule.name,
        "salt": rule.salt,
        "trigger": trigger | {"events": rule.trigger_events},
    }
    return RuleVersion(
        rule=rule,
        number=1,
        document=document | changed,
        published_at=decision.now,
        published_by=BY,
    )


def add_people(count: int, *, first: int = 1) -> None:
    """Make customers u<first> and on, with addresses, each known by its user id."""
    last = first + count - 1
    execute(PEOPLE, first, last)
    execute(NAMES, first, last)
    execute("ANALYZE campaigns_customer, campaigns_identity")
