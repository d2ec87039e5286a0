"""A customer's timeline: cause before effect, and what is still to come."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from campaigns.journeys.publishing import publish
from campaigns.models import Customer, DeliveryEvent, Event, Journey, Timer
from campaigns.reports.timeline import build_timeline
from tests.db.mail_rows import a_customer, a_mail
from tests.db.rule_rows import a_rule, happened

pytestmark = pytest.mark.django_db
SENT = datetime(2026, 11, 21, 14, 2, 5, 700_000, tzinfo=UTC)


def reported(mail, kind, at):
    DeliveryEvent.objects.create(
        content_key=uuid4(), message=mail, type=kind, occurred_at=at, received_at=at
    )


def test_a_webhook_of_the_same_second_stands_behind_its_mail():
    person = a_customer()
    mail = a_mail(person, created_at=SENT - timedelta(seconds=1), settled_at=SENT)
    second = SENT.replace(microsecond=0)  # as a webhook names it
    reported(mail, "opened", second)
    reported(mail, "delivered", second)
    shown = [e.title for e in build_timeline(person).entries]
    assert shown == ["Opened", "Delivered", "api, step 1: sent", "api, step 1: queued"]


def test_a_report_that_settled_an_unknown_mail_stays_before_its_end():
    person = a_customer()
    mail = a_mail(person, created_at=SENT, settled_at=SENT + timedelta(hours=1))
    reported(mail, "delivered", SENT + timedelta(seconds=2))
    shown = [e.title for e in build_timeline(person).entries]
    assert shown == ["api, step 1: sent", "Delivered", "api, step 1: queued"]


def test_a_waiting_journey_says_until_when_in_the_customers_zone_and_for_what():
    rule = a_rule(name="Help", exit_events=["Order Completed"])
    rule.steps.update(wait_for=["Trial Started"], delay_amount=2)
    publish(rule.pk, by="ann")
    person = happened("ann")
    Customer.objects.filter(pk=person.pk).update(time_zone="America/New_York")
    Timer.objects.update(due_at=datetime(2026, 11, 23, 14, 0, tzinfo=UTC))
    person.refresh_from_db()
    with timezone.override("Asia/Tokyo"):
        entries = build_timeline(person).entries
    waiting = next(e for e in entries if e.kind == "Waiting")
    assert waiting.title == "Help: waits"
    assert waiting.why.startswith(
        "for “Trial Started”, at most until 23 Nov 2026, 09:00:00 EST, the customer's "
        "time; then “"
    )
    assert waiting.why.endswith("unless “Order Completed” comes first")


def test_an_event_its_decision_and_the_wait_stand_in_this_order():
    rule = a_rule(name="Help")
    publish(rule.pk, by="ann")
    person = happened("ann")
    kinds = [e.kind for e in build_timeline(person).entries]
    assert kinds.index("Waiting") < kinds.index("Decision") < kinds.index("Event")


def test_a_goal_stands_behind_the_event_that_reached_it():
    rule = a_rule(name="Help", goal_event="Order Completed", goal_amount=7)
    publish(rule.pk, by="ann")
    happened("ann")
    person = happened(
        "ann", "Order Completed", at=timezone.now() + timedelta(milliseconds=1)
    )
    assert Journey.objects.get().converted_at is not None
    Event.objects.filter(name="Order Completed").update(
        received_at=timezone.now() + timedelta(seconds=3)
    )
    shown = [e.title for e in build_timeline(person).entries]
    assert shown.index("Help: goal reached") < shown.index("Order Completed")
