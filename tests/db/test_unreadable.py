"""A version whose stored document is refused counts as paused, and stops nobody else."""

import logging

import pytest
from django.db.models import JSONField, Value
from django.db.models.functions import Now
from django.urls import reverse

from campaigns.deciding import rulesets
from campaigns.domain.answers import Accepted
from campaigns.journeys import moves
from campaigns.journeys.advance import advance_due
from campaigns.journeys.moves import finish_moves
from campaigns.journeys.publishing import archive, pause, resume
from campaigns.models import ClusterBeat, Journey, Message, RuleVersion, Timer
from campaigns.reports.sums import differences
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.operator import redrive
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import rescue, settle
from tests.db.world import at, lasts, step

pytestmark = pytest.mark.django_db

BROKEN = {
    "a later schema": {"schema": 2},
    "null": None,
    "a list": [1],
    "text": "rule",
    "a number": 7,
    "nothing in it": {},
}


def break_it(rule, document=None):
    """Store what cannot be read, and start anew as after an update; return what was."""
    version = RuleVersion.objects.get(rule=rule)
    was = version.document
    RuleVersion.objects.filter(pk=version.pk).update(
        document={"schema": 2} if document is None else document
    )
    rulesets.forget()
    return was


def mend(rule, document):
    RuleVersion.objects.filter(rule=rule).update(document=document)
    rulesets.forget()


def states():
    return sorted(Journey.objects.values_list("state", flat=True))


@pytest.mark.parametrize("document", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_takes_nobody_in_and_the_others_go_on(world, document):
    broken = world.rule("broken", "Signed Up")
    world.rule("welcome", "Signed Up")
    stored = Value(document, JSONField())
    RuleVersion.objects.filter(rule=broken).update(document=stored)
    rulesets.forget()
    world.known("ann")
    world.does("ann", "Signed Up", message_id="signed up")
    world.work()
    assert world.mails() == [("welcome", 0, 0, "sent", "")]
    assert [d[1:3] for d in world.decisions("signed up")] == [("welcome", "entered")]


def test_the_log_says_it_once_and_readyz_warns(world, client, caplog):
    broken = world.rule("broken", "Signed Up")
    break_it(broken)
    with caplog.at_level(logging.ERROR, logger="campaigns.deciding.rulesets"):
        for user in ("ann", "bob"):
            world.known(user)
            rulesets.bump()
    (line,) = [r.getMessage() for r in caplog.records]
    assert f"version 1 of rule {broken} cannot be read" in line
    assert "schema" in line
    for cluster in ("mail@a", "feedback@a"):
        ClusterBeat.objects.create(name=cluster, seen_at=Now())
    answer = client.get("/readyz")
    assert answer.status_code == 200, "the others' work goes on"
    (warned,) = answer.json()["warnings"].items()
    assert warned[0] == f"rule {broken}"
    assert "version 1 cannot be read" in warned[1]


def test_a_due_journey_keeps_its_place_until_the_version_can_be_read(world):
    rule = world.rule("broken", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    world.known("ann")
    world.does("ann", "Signed Up")
    was = break_it(rule)
    world.work_at(at("10:30"))
    assert states() == ["held"]
    assert finish_moves() == 0
    assert states() == ["held"]
    mend(rule, was)
    assert finish_moves() == 1
    world.work()
    assert world.mails() == [("broken", 0, 0, "sent", "")]


def test_a_queued_mail_is_held_and_goes_when_the_version_can_be_read(world):
    rule = world.rule("broken", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    was = break_it(rule)
    world.work()
    assert world.mails() == [("broken", 0, 0, "held", "rule_unreadable")]
    mend(rule, was)
    assert finish_moves() == 1
    world.work()
    assert world.mails() == [("broken", 0, 0, "sent", "")]
    assert states() == ["finished"]


def test_a_broken_neighbour_in_the_gate_stops_no_other_mail(world):
    rule = world.rule("broken", "Signed Up")
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    claims = claim(limit=8)
    made = prepare(claims)
    break_it(rule)
    (sent,) = begin(claims, made)
    settle(sent.customer, sent.mail, sent.token, Accepted("p"))
    assert sorted(world.mails()) == [
        ("broken", 0, 0, "held", "rule_unreadable"),
        ("welcome", 0, 0, "sent", ""),
    ]


def handed_over(world):
    """Advance and gate what is due; return the one mail being handed over."""
    advance_due()
    claims = claim(limit=8)
    (sent,) = begin(claims, prepare(claims))
    return sent


def test_a_mail_under_way_is_settled_and_its_next_step_waits(world):
    steps = [step(), step(delay=lasts(2, "hours"))]
    rule = world.rule("broken", "Signed Up", steps=steps)
    world.known("ann")
    world.does("ann", "Signed Up")
    sent = handed_over(world)
    was = break_it(rule)
    settle(sent.customer, sent.mail, sent.token, Accepted("p"))
    assert differences() == []
    world.work_at(at("09:30"))
    assert states() == ["held"]
    world.clock.time = at("10:00")
    mend(rule, was)
    finish_moves()
    advance_due()
    assert world.timers() == [("broken", "", at("11:00"))]  # from when it was settled
    world.work_at(at("11:00"))
    assert [m[1:4] for m in world.mails()] == [(0, 0, "sent"), (1, 0, "sent")]
    assert (states(), Journey.objects.get().step) == (["finished"], 1)


def test_the_last_mail_settled_meanwhile_ends_its_journey_once_it_is_known_to_be(world):
    rule = world.rule("broken", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    sent = handed_over(world)
    was = break_it(rule)
    settle(sent.customer, sent.mail, sent.token, Accepted("p"))
    world.work()
    assert states() == ["held"]
    mend(rule, was)
    finish_moves()
    world.work()
    ended = Journey.objects.get()
    assert (ended.state, ended.step) == ("finished", 0)
    assert ended.cause == {"message": sent.mail, "outcome": "sent"}


def test_a_lost_lease_is_taken_back_though_the_version_is_unreadable(world):
    rule = world.rule("broken", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    handed_over(world)
    break_it(rule)
    Message.objects.update(lease_until="2020-01-01T00:00Z")
    assert rescue() == 1
    assert [m[3] for m in world.mails()] == ["unknown"]
    assert states() == ["waiting"]


def test_stops_still_stop(world):
    rule = world.rule("broken", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("10:00")
    advance_due()
    world.known("bob")
    world.does("bob", "Signed Up")
    break_it(rule)
    world.work_at(at("11:30"))
    assert states() == ["held", "sending"]
    assert world.mails() == [("broken", 0, 0, "held", "rule_unreadable")]
    pause(rule, by="eve")
    resume(rule, by="eve")
    assert states() == ["held", "sending"]
    archive(rule, by="eve")
    assert states() == ["cancelled", "cancelled"]
    assert world.mails() == [("broken", 0, 0, "cancelled", "cancelled")]
    assert not Timer.objects.exists()


def test_an_exit_that_came_meanwhile_is_found_by_the_gate(world):
    rule = world.rule(
        "broken",
        "Carted",
        exit={"events": ["Bought"], "key": None},
        steps=[step(delay=lasts(1, "hours")), step()],
    )
    world.known("ann")
    world.does("ann", "Carted")
    was = break_it(rule)
    world.clock.time = at("09:30")
    world.does("ann", "Bought", message_id="bought")
    mend(rule, was)
    world.work_at(at("10:30"))
    assert world.mails() == [("broken", 0, 0, "skipped", "exited")]
    assert world.cause()["event"] == "bought"
    assert states() == ["exited"]


def test_people_on_a_broken_way_are_merged_restarted_and_counted(world):
    old = world.rule(
        "broken",
        "Carted",
        retrigger="restart",
        exit={"events": ["Bought"], "key": None},
        goal={"event": "Bought", "window": lasts(1, "days")},
        steps=[step(delay=lasts(1, "hours"))],
    )
    first = RuleVersion.objects.get(rule=old)
    world.known("ann")
    world.does("ann", "Carted")
    world.does(None, "Carted", anonymous_id="d1")
    second = RuleVersion.objects.create(
        rule_id=old, number=2, document=first.document, published_at=at("09:00")
    )
    second.rule.current = second
    second.rule.save()
    rulesets.bump()
    RuleVersion.objects.filter(pk=first.pk).update(document={"schema": 2})
    rulesets.forget()
    world.clock.time = at("09:10")
    world.does("ann", "Carted", anonymous_id="d1", message_id="again")
    assert [d[2] for d in world.decisions("again")] == ["restarted"]
    assert states() == ["merged", "waiting"]
    world.work_at(at("10:30"))
    assert states() == ["held", "merged"]
    RuleVersion.objects.filter(pk=first.pk).update(document=second.document)
    rulesets.forget()
    assert finish_moves() == 1
    world.work()
    assert [m[3] for m in world.mails()] == ["sent"]
    journey = Journey.objects.get(state="finished")
    assert journey.trigger_occurred_at == at("09:10")


def test_a_mail_sent_again_is_held_too(world):
    rule = world.rule("broken", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    handed_over(world)
    Message.objects.update(lease_until="2020-01-01T00:00Z")
    rescue()
    was = break_it(rule)
    world.clock.time = at("10:00")
    redrive(Message.objects.get().pk)
    world.work()
    assert world.mails() == [("broken", 0, 0, "held", "rule_unreadable")]
    mend(rule, was)
    assert finish_moves() == 1
    world.work()
    assert world.mails() == [("broken", 0, 0, "sent", "")]


def test_what_cannot_be_read_does_not_keep_others_of_its_rule_from_going_on(
    world, monkeypatch
):
    monkeypatch.setattr(moves, "BATCH", 1)
    rule = world.rule("broken", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    first = RuleVersion.objects.get(rule=rule)
    world.known("ann")
    world.does("ann", "Signed Up")
    second = RuleVersion.objects.create(
        rule_id=rule, number=2, document=first.document, published_at=at("09:00")
    )
    first.rule.current = second
    first.rule.save()
    rulesets.bump()
    world.known("bob")
    world.does("bob", "Signed Up")
    pause(rule, by="eve")
    world.work_at(at("10:30"))
    assert states() == ["held", "held"]
    RuleVersion.objects.filter(pk=first.pk).update(document={"schema": 2})
    rulesets.forget()
    assert resume(rule, by="eve")
    assert list(Journey.objects.values_list("version", "state").order_by("pk")) == [
        (first.pk, "held"),
        (second.pk, "waiting"),
    ]


def test_the_rules_page_says_it(world, admin_client):
    rule = world.rule("broken", "Signed Up")
    was = break_it(rule)
    page = reverse("admin:campaigns_rule_change", args=[rule])
    said = admin_client.get(page).content.decode()
    assert "A published version that cannot be read" in said
    assert "schema: must be 1" in said
    mend(rule, was)
    assert "cannot be read" not in admin_client.get(page).content.decode()


@pytest.mark.parametrize("document", BROKEN.values(), ids=BROKEN.keys())
def test_the_rules_page_opens_whatever_is_stored(world, admin_client, document):
    rule = world.rule("broken", "Signed Up")
    stored = Value(document, JSONField())
    RuleVersion.objects.filter(rule=rule).update(document=stored)
    rulesets.forget()
    page = reverse("admin:campaigns_rule_change", args=[rule])
    assert b"cannot be read" in admin_client.get(page).content
