"""Rows of mails and people, with the least that a test must say."""

import secrets
from datetime import UTC, datetime
from uuid import UUID, uuid4

from campaigns.deciding import database
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.ids import new_id
from campaigns.deciding.suppressing import permissions_of, read_permissions
from campaigns.models import (
    Attempt,
    Customer,
    Message,
    Provider,
    Rule,
    RuleVersion,
    Sender,
    Template,
    TemplateVersion,
    Topic,
)

THEN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def a_topic(*, opt_in=False):
    slug = secrets.token_hex(4)
    return Topic.objects.create(slug=slug, name=f"Topic {slug}", opt_in=opt_in)


def a_customer(email="ada@example.com", *, customer_id=None):
    key = customer_id or new_id()
    return Customer.objects.create(
        id=key,
        born_as=f"user:{key}",
        user_id=f"u{key}",
        email=email,
        email_trusted=True,
        bucket=1,
        created_at=THEN,
        updated_at=THEN,
    )


def a_sender():
    name = secrets.token_hex(4)
    provider, _ = Provider.objects.get_or_create(name="sendgrid")
    return Sender.objects.create(
        name=name,
        from_name="Shop",
        from_email="shop@example.com",
        company_name="Shop Ltd",
        postal_address="1 High Street",
        provider=provider,
    )


def a_template_version():
    name = secrets.token_hex(4)
    template = Template.objects.create(name=name, subject="Hi", html="<p>Hi</p>")
    return TemplateVersion.objects.create(
        template=template, number=1, subject="Hi", html="<p>Hi</p>", published_at=THEN
    )


def a_rule(topic, *, kind="marketing"):
    """An active rule that mails at once about the topic."""
    sender, template = a_sender(), a_template_version()
    name = secrets.token_hex(4)
    rule = Rule.objects.create(
        name=name, sender=sender, topic=topic, trigger_events=["Signed Up"], salt="s"
    )
    steps = [
        {
            "delay": {"amount": 0, "unit": "minutes"},
            "wait_for": None,
            "window": None,
            "quiet": None,
            "variants": [
                {
                    "name": "A",
                    "condition": None,
                    "weight": 1,
                    "template_version": template.pk,
                    "fallback": False,
                }
            ],
            "expires_after": None,
        }
    ]
    document = {
        "schema": 1,
        "rule": rule.pk,
        "version": 1,
        "name": name,
        "kind": kind,
        "topic": topic.pk if topic else None,
        "topic_opt_in": bool(topic and topic.opt_in),
        "sender": sender.pk,
        "salt": "s",
        "trigger": {"events": ["Signed Up"], "sources": None, "public": False},
        "condition": None,
        "cooldown": {"duration": {"amount": 7, "unit": "days"}, "key": None},
        "exit": None,
        "retrigger": "ignore",
        "freshness": {"amount": 3, "unit": "days"},
        "holdout": 0,
        "goal": None,
        "steps": steps,
    }
    version = RuleVersion.objects.create(
        rule=rule, number=1, document=document, published_at=THEN
    )
    Rule.objects.filter(pk=rule.pk).update(current=version, status="active")
    return version


def a_mail(customer, *, state="sent", version=None, **changes):
    """A mail that was handed over, or in another state, with its attempt."""
    token = UUID(changes.pop("token", None) or uuid4().hex)
    row = {
        "id": new_id(),
        "customer_id": customer.pk,
        "purpose": "api",
        "kind": "marketing",
        "lane": 1,
        "template_version_id": 0,
        "state": state,
        "due_at": THEN,
        "created_at": THEN,
        "address": customer.email,
        "address_hash": address_hash(customer.email),
        "attempt": 1,
        "token": token,
        "sending_at": THEN,
        "provider_message_id": f"pm{token.hex[:16]}" if state == "sent" else "",
    }
    if version is not None:
        row |= {"rule_id": version.rule_id, "version_id": version.pk}
    if state == "unknown":
        row["reason"] = "no_answer"
    mail = Message.objects.create(**(row | changes))
    ended = {"sent": "accepted", "unknown": "ambiguous", "sending": "open"}
    Attempt.objects.create(
        id=token, message=mail, number=1, state=ended[state], started_at=THEN
    )
    return mail


def permissions(pairs, now):
    """What the gate would read of these (customer, address hash, topic)."""
    return permissions_of(database.run_all([read_permissions(pairs, now=now)])[0])
