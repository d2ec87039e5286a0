"""Publishing, pausing, resuming and archiving rules, against the database."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.deciding import clock
from campaigns.domain.states import JourneyState, MessageState, RuleStatus
from campaigns.journeys import moves
from campaigns.journeys.advance import advance_due
from campaigns.journeys.moves import finish_moves
from campaigns.journeys.publishing import (
    NotAllowedNow,
    PublishRefused,
    archive,
    draft_document,
    pause,
    publish,
    read_draft,
    resume,
    set_company,
)
from campaigns.journeys.templates import publish_template
from campaigns.models import (
    Company,
    IngestState,
    Journey,
    Message,
    RecordedOrder,
    Rule,
    RuleStatusChange,
    Step,
    TemplateVersion,
    Timer,
    Variant,
)
from tests.db.mail_rows import a_sender
from tests.db.rule_rows import a_rule, a_template, happened

pytestmark = pytest.mark.django_db


class At:
    """A clock that stands still."""

    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


def now():
    return timezone.now()


def later(**how_much):
    return clock.use(At(now() + timedelta(**how_much)))


def words(refused):
    return [str(p) for p in refused.value.problems]


def ruleset_number():
    return IngestState.objects.get(pk=1).ruleset


def test_publishing_freezes_rule_and_template_and_lets_people_in():
    rule = a_rule(delay=0)
    before = ruleset_number()
    version = publish(rule.pk, by="ann")
    rule.refresh_from_db()
    assert (rule.status, rule.current) == (RuleStatus.ACTIVE, version)
    assert ruleset_number() == before + 1
    sent = TemplateVersion.objects.get()
    assert version.document["steps"][0]["variants"][0]["template_version"] == sent.pk
    assert (sent.number, sent.published_by) == (1, "ann")
    change = RuleStatusChange.objects.get()
    assert (change.status, change.changed_by) == (RuleStatus.ACTIVE, "ann")
    happened("ann")
    assert Journey.objects.get().version == version


def test_a_draft_takes_nobody_in():
    a_rule()
    happened("ann")
    assert not Journey.objects.exists()


def test_publishing_again_makes_the_next_version_and_leaves_journeys_alone():
    rule = a_rule()
    first = publish(rule.pk, by="ann")
    happened("ann")
    Step.objects.update(delay_amount=5)
    second = publish(rule.pk, by="bob")
    assert (first.number, second.number) == (1, 2)
    assert second.document["steps"][0]["delay"]["amount"] == 5
    assert Journey.objects.get().version == first
    assert RuleStatusChange.objects.count() == 1
    assert TemplateVersion.objects.count() == 1


def test_a_changed_template_gets_a_new_version_with_the_rule():
    template = a_template()
    rule = a_rule(template=template)
    publish(rule.pk, by="ann")
    template.subject = "Good day"
    template.save()
    version = publish(rule.pk, by="ann")
    used = version.document["steps"][0]["variants"][0]["template_version"]
    newest = TemplateVersion.objects.get(pk=used)
    assert (newest.number, newest.subject) == (2, "Good day")


def test_every_problem_of_a_draft_is_named_where_it_is():
    template = a_template(
        name="Broken", subject=" ", html="{% if customer.x %}<p>never closed"
    )
    rule = a_rule(
        template=template,
        topic=None,
        trigger_events=[],
        condition={"field": "customer.age", "op": "gt", "value": "old"},
        exit_key="cart_id",
        cooldown_key="cart_id",
    )
    Step.objects.update(send_from="9", quiet_from="21:00")
    Step.objects.create(rule=rule, position=1)
    with pytest.raises(PublishRefused) as refused:
        publish(rule.pk, by="ann")
    found = {p.field: str(p) for p in refused.value.problems if p.field}
    assert found["trigger_events"] == "When this happens: choose at least one event."
    assert found["topic"].startswith("Topic: marketing mail needs one")
    assert found["condition"].startswith("Only if: ")
    assert "number" in found["condition"]
    assert found["exit_events"] == "Exit key: needs at least one exit event."
    assert found["cooldown_amount"] == "Cooldown key: needs a cooldown longer than 0."
    assert found["steps-0-send_from"].startswith("Step 1, send from: must be a time")
    assert found["steps-0-quiet_from"].startswith("Step 1, quiet hours: need both")
    assert found["steps-1-variants"].startswith("Step 2: has no mail to send")
    assert "Template “Broken”, Subject: must not be empty." in words(refused)
    assert any(w.startswith("Template “Broken”, HTML") for w in words(refused))
    rule.refresh_from_db()
    assert (rule.status, rule.current) == (RuleStatus.DRAFT, None)
    assert not TemplateVersion.objects.exists()


def test_a_rule_without_steps_is_refused():
    rule = a_rule()
    Step.objects.all().delete()
    with pytest.raises(PublishRefused) as refused:
        publish(rule.pk, by="ann")
    assert words(refused) == ["Steps: add at least one, with a mail to send."]


def test_marketing_needs_a_postal_address():
    sender = a_sender()
    sender.postal_address = "  "
    sender.save()
    rule = a_rule(sender=sender)
    with pytest.raises(PublishRefused) as refused:
        publish(rule.pk, by="ann")
    assert "no postal address" in words(refused)[0]
    Rule.objects.update(kind="transactional")
    assert publish(rule.pk, by="ann").number == 1


def test_two_fallbacks_are_refused_at_their_step():
    rule = a_rule()
    for name in ("B", "C"):
        Variant.objects.create(
            step=rule.steps.get(), name=name, template=a_template(), fallback=True
        )
    with pytest.raises(PublishRefused) as refused:
        publish(rule.pk, by="ann")
    assert words(refused) == ["Step 1, mails: must have at most one fallback."]


def test_the_draft_of_an_unpublished_template_names_no_version():
    rule = a_rule()
    step = draft_document(rule)["steps"][0]
    assert step["variants"][0]["template_version"] == 0
    version = publish_template(Variant.objects.get().template_id, by="ann")
    step = draft_document(rule)["steps"][0]
    assert step["variants"][0]["template_version"] == version.pk


def test_publishing_an_unchanged_template_changes_nothing():
    template = a_template()
    first = publish_template(template.pk, by="ann")
    assert publish_template(template.pk, by="bob") == first


def test_a_template_that_cannot_be_read_is_not_published():
    template = a_template(html="<p>{{ customer.first_name | capitalise }}</p>")
    with pytest.raises(PublishRefused) as refused:
        publish_template(template.pk, by="ann")
    assert "HTML, line 1: There is no filter “capitalise”." in words(refused)[0]
    assert "capitalize" in words(refused)[0]


def test_everything_that_a_step_can_say_reaches_the_document():
    rule = a_rule(
        exit_events=["Order Completed"],
        exit_key="cart_id",
        cooldown_amount=7,
        goal_event="Order Completed",
        holdout_percent="12.50",
    )
    Step.objects.update(
        wait_for=["Trial Ended"],
        weekdays=[4, 0],
        send_from="09:00",
        quiet_from="12:00",
        quiet_until="13:00",
        expires_amount=2,
    )
    doc = publish(rule.pk, by="ann").document
    assert doc["holdout"] == 1250
    assert doc["exit"] == {"events": ["Order Completed"], "key": "cart_id"}
    assert doc["cooldown"]["duration"] == {"amount": 7, "unit": "days"}
    step = doc["steps"][0]
    assert step["wait_for"]["timeout"] == {"amount": 1, "unit": "hours"}
    assert step["delay"]["amount"] == 0
    assert step["window"] == {"weekdays": [0, 4], "start": "09:00", "end": "24:00"}
    assert step["quiet"] == {"start": "12:00", "end": "13:00"}
    assert step["expires_after"] == {"amount": 2, "unit": "hours"}


def test_a_pause_takes_nobody_in_and_parks_what_is_due():
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    pause(rule.pk, by="ann")
    happened("bob")
    journey = Journey.objects.get()
    with later(hours=2):
        advance_due()
    journey.refresh_from_db()
    assert journey.state == JourneyState.HELD
    assert not Timer.objects.exists()
    assert not Message.objects.exists()


def test_a_resume_sets_parked_journeys_going_again():
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    pause(rule.pk, by="ann")
    with later(hours=2):
        advance_due()
    with later(hours=3):
        assert resume(rule.pk, by="ann")
        timer = Timer.objects.get()
        assert timer.due_at <= clock.now()
        advance_due()
    assert Message.objects.get().state == MessageState.QUEUED
    statuses = list(RuleStatusChange.objects.values_list("status", flat=True))
    assert statuses == ["active", "paused", "active"]


def held_by_pause(rule):
    """Queue the rule's mail and hold it as the gate of a paused rule does."""
    with later(hours=2):
        advance_due()
    Message.objects.update(state="held", reason="rule_paused", not_before=None)
    pause(rule.pk, by="ann")


def test_a_resume_releases_mails_that_the_pause_held_and_no_others():
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    happened("bob")
    held_by_pause(rule)
    other = Message.objects.order_by("pk").last()
    Message.objects.filter(pk=other.pk).update(reason="template_error")
    with later(hours=3):
        resume(rule.pk, by="ann")
    states = dict(Message.objects.values_list("reason", "state"))
    assert states == {"": "queued", "template_error": "held"}


def test_an_archive_cancels_journeys_and_mails_at_once():
    rule = a_rule()
    publish(rule.pk, by="ann")
    for user in ("ann", "bob", "cyd"):
        happened(user)
    with later(hours=2):
        advance_due()
    happened("dan")
    Message.objects.filter(pk=Message.objects.first().pk).update(
        state="held", reason="template_error", not_before=None
    )
    assert archive(rule.pk, by="ann")
    states = set(Journey.objects.values_list("state", "cause__reason"))
    assert states == {("cancelled", "rule_archived")}
    assert set(Message.objects.values_list("state", flat=True)) == {"cancelled"}
    assert not Timer.objects.exists()
    happened("eve")
    assert Journey.objects.count() == 4


def test_a_mail_being_handed_over_is_not_touched_by_an_archive():
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    with later(hours=2):
        advance_due()
    Message.objects.update(
        state="sending",
        not_before=None,
        lease_until=now(),
        token="12345678-1234-5678-1234-567812345678",
        sending_at=now(),
        address_hash=b"x" * 16,
    )
    archive(rule.pk, by="ann")
    assert Message.objects.get().state == MessageState.SENDING
    assert Journey.objects.get().state == JourneyState.CANCELLED


def test_what_a_killed_archive_left_is_finished_by_housekeeping(monkeypatch):
    monkeypatch.setattr(moves, "BATCH", 2)
    rule = a_rule()
    publish(rule.pk, by="ann")
    for user in ("ann", "bob", "cyd", "dan", "eve"):
        happened(user)
    monkeypatch.setattr("campaigns.journeys.publishing.MOVE_NOW_S", 0)
    assert archive(rule.pk, by="ann") is False
    assert Journey.objects.filter(ended_at=None).count() == 5
    assert finish_moves() == 1
    assert not Journey.objects.filter(ended_at=None).exists()
    assert finish_moves() == 0


def test_what_a_killed_resume_left_is_finished_by_housekeeping(monkeypatch):
    rule = a_rule()
    publish(rule.pk, by="ann")
    for user in ("ann", "bob", "cyd"):
        happened(user)
    pause(rule.pk, by="ann")
    with later(hours=2):
        advance_due()
    monkeypatch.setattr("campaigns.journeys.publishing.MOVE_NOW_S", 0)
    assert resume(rule.pk, by="ann") is False
    assert Journey.objects.filter(state="held").count() == 3
    assert finish_moves() == 1
    assert Timer.objects.count() == 3
    assert finish_moves() == 0


def test_moving_stops_when_the_rule_is_paused_again(monkeypatch):
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    pause(rule.pk, by="ann")
    with later(hours=2):
        advance_due()
    assert moves.move_journeys(rule.pk, limit_s=5)
    assert Journey.objects.get().state == JourneyState.HELD


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        (pause, "is draft; only a rule that is active can be paused."),
        (resume, "is draft; only a rule that is paused can be resumed."),
        (archive, "is draft; only a rule that is active or paused can be archived."),
    ],
)
def test_what_a_status_does_not_allow_is_said(do, sentence):
    rule = a_rule()
    with pytest.raises(NotAllowedNow, match=sentence):
        do(rule.pk, by="ann")


def test_an_archived_rule_stays_so():
    rule = a_rule()
    publish(rule.pk, by="ann")
    archive(rule.pk, by="ann")
    with pytest.raises(NotAllowedNow, match="is archived"):
        publish(rule.pk, by="ann")


def test_publishing_a_paused_rule_keeps_it_paused():
    rule = a_rule()
    publish(rule.pk, by="ann")
    pause(rule.pk, by="ann")
    assert publish(rule.pk, by="ann").number == 2
    rule.refresh_from_db()
    assert rule.status == RuleStatus.PAUSED


def test_the_order_of_changes_is_recorded(settings):
    settings.RECORD_ORDER = True
    rule = a_rule()
    publish(rule.pk, by="ann")
    happened("ann")
    archive(rule.pk, by="ann")
    kinds = list(RecordedOrder.objects.values_list("kind", flat=True))
    assert kinds == ["rules", "events", "rules", "archive"]
    assert RecordedOrder.objects.last().payload == {
        "rule": rule.pk,
        "journeys": [Journey.objects.get().pk],
    }


def test_a_change_of_the_company_reaches_the_next_decision():
    before = ruleset_number()
    set_company(name="Shop", time_zone="Asia/Tokyo", cap_messages=3, cap_days=7)
    assert ruleset_number() == before + 1
    assert Company.objects.get().time_zone == "Asia/Tokyo"


def test_impossible_company_values_are_refused_in_words():
    with pytest.raises(PublishRefused) as refused:
        set_company(name="", time_zone="Mars/Base", cap_messages=-1, cap_days=0)
    assert [p.field for p in refused.value.problems] == [
        "time_zone",
        "cap_messages",
        "cap_days",
    ]


def test_a_draft_changed_while_it_is_checked_is_checked_again(monkeypatch):
    rule = a_rule()
    seen = []

    def read(rule_id):
        draft = read_draft(rule_id)
        if not seen:
            Step.objects.update(delay_amount=9)
        seen.append(draft)
        return draft

    monkeypatch.setattr("campaigns.journeys.publishing.read_draft", read)
    version = publish(rule.pk, by="ann")
    assert version.document["steps"][0]["delay"]["amount"] == 9
