"""A backup that was put back sends nothing a second time, and nothing until told."""

import json
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from campaigns import tasks
from campaigns.deciding import clock, database, incarnation, marks, rulesets
from campaigns.deciding.database import DatabaseAway
from campaigns.deciding.ids import forget as forget_ids
from campaigns.deciding.ids import new_id
from campaigns.dispatch import due as dispatch_due
from campaigns.dispatch.after_restore import SKIPPED_IDS, put_in_order
from campaigns.feedback import due as feedback_due
from campaigns.ingest import partitions
from campaigns.journeys.advance import advance_due
from campaigns.journeys.publishing import pause
from campaigns.models import (
    Attempt,
    ClusterBeat,
    IngestState,
    Message,
    Rule,
    TemplateVersion,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.reports import readiness
from campaigns.reports.sums import differences
from campaigns.sending.operator import NotPossible, redrive
from campaigns.watching import doctor_work
from campaigns.watching.findings import Level
from tests.db.world import MONDAY, OFFICE, Clock, World, at, lasts, step

pytestmark = pytest.mark.django_db
OTHER = "1234 00000001 5/6"  # what a backup of another server says of itself


def noted():
    return IngestState.objects.get(pk=1).incarnation


def restored():
    """Let the data be those of a backup, put back into this server."""
    IngestState.objects.update(incarnation=OTHER, rotated_at=MONDAY)
    forget_connection()


def forget_connection():
    """Have the connection looked at again, as a new one is."""
    found = database._sessions.get(connections[DEFAULT_DB_ALIAS])
    if found is not None:
        found.is_known = False


@pytest.fixture(autouse=True)
def as_new():
    yield
    IngestState.objects.update(incarnation="")
    forget_connection()


# --- the incarnation ----------------------------------------------------------


def test_a_database_notes_itself_before_the_first_mail_and_knows_itself(world):
    assert noted() == ""
    tasks.drain_mail()
    mine = noted()
    assert mine == str(incarnation.read())
    tasks.drain_mail()
    assert noted() == mine
    assert incarnation.read().fits


def test_a_restored_one_takes_nothing_and_sends_nothing(world, caplog, monkeypatch):
    monkeypatch.setattr(tasks, "_said_at", float("-inf"))
    (finding,) = doctor_work.incarnation_fits()
    assert finding.level is Level.GOOD
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    restored()
    for _ in range(2):  # the connection is looked at until it fits
        with pytest.raises(DatabaseAway, match="after_restore"):
            world.does("ann", "Clicked")
    # An exception would end the cluster's pusher, again and again.
    assert not dispatch_due.anything_due()
    assert not feedback_due.anything_due()
    for _ in range(3):
        tasks.drain_mail()
        tasks.apply_feedback()
    assert caplog.text.count("after_restore") == 1  # and not once for each task
    assert world.mails() == []
    (finding,) = doctor_work.incarnation_fits()
    assert finding.level is Level.ERROR
    assert "after_restore" in readiness.reasons()["restored"]
    with pytest.raises(CommandError, match="after_restore"):
        call_command("cluster")
    assert noted() == OTHER
    with incarnation.allowed():
        world.work()
    IngestState.objects.update(incarnation="")


@pytest.mark.django_db(transaction=True)
def test_behind_a_pooler_it_is_noticed_on_a_connection_that_was_well(
    world, monkeypatch
):
    """A pooler leads a kept connection to whatever took the server's place."""
    connection.ensure_connection()
    monkeypatch.setattr(database._session(), "is_pooled", True)
    world.known("ann")
    IngestState.objects.update(incarnation=OTHER)
    with pytest.raises(DatabaseAway, match="after_restore"):
        world.does("ann", "Clicked")


@pytest.mark.parametrize(
    ("part", "trusted"),
    [(0, False), (1, True), (2, False)],
    ids=["another server", "another timeline", "another table"],
)
def test_each_part_of_it_tells_and_only_a_timeline_can_be_trusted(
    settings, part, trusted
):
    words = str(incarnation.read()).split(" ")
    words[part] = "other"
    IngestState.objects.update(incarnation=" ".join(words))
    assert not incarnation.read().fits
    settings.TRUST_FAILOVER = True
    assert incarnation.read().fits is trusted
    if trusted:
        incarnation.confirm()
        settings.TRUST_FAILOVER = False
        assert incarnation.read().fits
    else:
        with pytest.raises(incarnation.Restored):
            incarnation.confirm()


def test_a_server_that_does_not_tell_what_it_is_fits_and_is_noted_once_it_does():
    whole = str(incarnation.read())
    server, *rest = whole.split(" ")
    IngestState.objects.update(incarnation=" ".join(["-", *rest]))
    incarnation.confirm()
    assert noted() == whole
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION campaigns_server() RETURNS text"
            " LANGUAGE sql AS $$ SELECT '-' $$"
        )
    incarnation.confirm()
    assert noted() == whole
    IngestState.objects.update(incarnation=" ".join([server, rest[0], "1/1"]))
    assert not incarnation.read().fits


# --- the command --------------------------------------------------------------


def after_restore(*arguments):
    said = StringIO()
    call_command("after_restore", *arguments, stdout=said)
    return said.getvalue()


def test_without_a_restore_the_command_does_nothing_unless_forced(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    IngestState.objects.update(rotated_at=MONDAY)  # else the real time of migrating
    tasks.incarnation.confirm()
    assert "nothing was done" in after_restore()
    assert "1 mails may have left" in after_restore("--force")
    assert world.mails() == [("welcome", 0, 0, "unknown", "restored")]


def test_a_database_that_only_moved_is_taken_as_it_is(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    restored()
    assert "Taken as it is" in after_restore("--nothing-lost")
    world.work()
    assert world.mails() == [("welcome", 0, 0, "sent", "")]


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("2026-03-02T08:00:00", "needs its offset"),
        ("2999-01-01T00:00:00+00:00", "is in the future"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(world, until, words):
    restored()
    with pytest.raises(CommandError, match=words):
        after_restore("--until", until)
    assert noted() == OTHER
    IngestState.objects.update(incarnation="")


def test_an_end_before_the_data_end_is_refused_and_nothing_is_written(world):
    """A mistaken offset would leave what was sent in between free to leave twice."""
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")  # 09:00
    world.clock.time = at("10:00")
    restored()
    with pytest.raises(CommandError, match=r"the data go on to .*Check the offset"):
        after_restore("--until", at("08:30").isoformat())
    assert noted() == OTHER
    assert world.mails() == []
    assert "1 mails may have left" in after_restore("--until", at("09:30").isoformat())
    assert world.mails() == [("welcome", 0, 0, "unknown", "restored")]


def test_a_beat_of_a_supervisor_that_nobody_stopped_refuses_no_end(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("10:00")
    restored()
    ClusterBeat.objects.create(name="mail@a", sent_at=at("09:59"))
    assert "1 mails may have left" in after_restore("--until", at("09:30").isoformat())


def test_a_clock_that_is_behind_the_data_is_told_when_no_end_is_given(world):
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("08:00")
    restored()
    with pytest.raises(CommandError, match=r"server.s clock says .*Set that clock"):
        after_restore()
    assert noted() == OTHER


def test_what_waits_in_paused_rules_stays_and_is_named(world):
    world.rule("later", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    world.known("ann")
    world.does("ann", "Signed Up")
    pause(Rule.objects.get().pk, by="ann")
    world.clock.time = at("12:00")
    restored()
    assert "Paused: later." in after_restore()
    assert len(world.timers()) == 1


def test_a_command_that_was_cut_short_leaves_all_stopped_and_is_run_again(
    world, monkeypatch
):
    world.rule("later", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("12:00")
    restored()
    with monkeypatch.context() as cut:
        cut.setattr("campaigns.dispatch.after_restore._write_off", cut_off)
        with pytest.raises(KeyboardInterrupt):
            after_restore()
    assert world.mails() == [("later", 0, 0, "queued", "")]
    tasks.drain_mail()
    assert world.mails() == [("later", 0, 0, "queued", "")]
    assert "1 mails may have left" in after_restore()
    assert world.mails() == [("later", 0, 0, "unknown", "restored")]
    assert incarnation.read().fits


def cut_off(*_args, **_kwargs):
    raise KeyboardInterrupt


# --- what it makes of mails and journeys ---------------------------------------


def test_queued_claimed_and_sending_mails_become_unknown_with_their_attempts(world):
    world.rule("welcome", "Signed Up")
    for name in ("ann", "bob", "cem"):
        world.known(name)
        world.does(name, "Signed Up")
    world_claims(world)
    restored()
    after_restore()
    assert [m[3:] for m in world.mails()] == [("unknown", "restored")] * 3
    assert set(Attempt.objects.values_list("state", flat=True)) == {"ambiguous"}
    world.work()
    assert [m[3] for m in world.mails()] == ["unknown"] * 3


def world_claims(world):
    """Leave one mail queued, one claimed, and one being handed over."""
    from campaigns.sending.claim import claim
    from campaigns.sending.gate import begin
    from campaigns.sending.prepare import prepare

    advance_due()
    handed = claim(limit=1)
    assert len(begin(handed, prepare(handed))) == 1
    assert len(claim(limit=1)) == 1
    states = sorted(Message.objects.values_list("state", flat=True))
    assert states == ["claimed", "queued", "sending"]


def test_a_webhook_that_still_comes_settles_it(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    restored()
    after_restore()
    message = Message.objects.get()
    event = {
        "event": "delivered", "email": "ann@example.com", "sg_event_id": "e1",
        "timestamp": int(clock.now().timestamp()), "et_message": str(message.pk),
    }  # fmt: skip
    WebhookBatch.objects.create(
        endpoint=WebhookEndpoint.objects.create(slug="sendgrid"),
        body=json.dumps([event]).encode(),
        received_at=clock.now(),
        pending_at=clock.now(),
    )
    tasks.apply_feedback()
    assert world.mails() == [("welcome", 0, 0, "sent", "")]


def test_a_person_may_send_it_again_after_half_an_hour(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    restored()
    after_restore()
    message = Message.objects.get()
    with pytest.raises(NotPossible, match="30 minutes"):
        redrive(message.pk)
    world.clock.time += timedelta(minutes=31)
    redrive(message.pk)
    world.work()
    assert world.mails() == [("welcome", 0, 0, "sent", "")]


def test_steps_that_may_have_followed_are_unknown_and_later_ones_are_sent(world):
    hour = step(delay=lasts(1, "hours"))
    world.rule("tips", "Signed Up", steps=[hour, hour, hour])
    world.known("ann")
    world.does("ann", "Signed Up")  # 09:00; steps at 10:00, 11:00, 12:00
    world.clock.time = at("13:00")
    restored()
    after_restore("--until", at("11:30").isoformat())
    assert world.mails() == [
        ("tips", 0, 0, "unknown", "restored"),
        ("tips", 1, 0, "unknown", "restored"),
    ]
    assert world.timers() == [("tips", "", at("12:00"))]
    world.work()
    assert world.mails()[2:] == [("tips", 2, 0, "sent", "")]


def test_who_waits_for_an_event_may_have_got_it(world):
    waits = {"events": ["Viewed"], "timeout": lasts(5, "days")}
    world.rule("wait", "Signed Up", steps=[step(wait_for=waits)])
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("10:00")
    restored()
    after_restore()
    assert world.mails() == [("wait", 0, 0, "unknown", "restored")]


def test_a_mail_that_was_not_due_is_sent_when_it_is(world):
    world.rule("late", "Signed Up", steps=[step(delay=lasts(2, "hours"))])
    world.known("ann")
    world.does("ann", "Signed Up")
    world.clock.time = at("10:00")
    restored()
    assert "0 mails may have left" in after_restore()
    world.work_at(at("11:00"))
    assert world.mails() == [("late", 0, 0, "sent", "")]


def test_no_number_is_given_away_twice(world):
    world.rule("welcome", "Signed Up")
    forget_ids()
    before = new_id()
    ruleset = IngestState.objects.get(pk=1).ruleset
    versions = TemplateVersion.objects.order_by("-pk").first().pk
    restored()
    after_restore()
    forget_ids()
    assert new_id() > before + SKIPPED_IDS // 2
    assert IngestState.objects.get(pk=1).ruleset >= ruleset + 10**6
    assert world.template() > versions + 9_000


# --- any rule, any backup, any loss ---------------------------------------------

STEPS = st.lists(
    st.builds(
        lambda wait, hours, days, window: step(
            delay=lasts(0 if wait else hours, "hours"),
            window=window,
            wait_for=(
                {"events": ["Viewed"], "timeout": lasts(days, "days")} if wait else None
            ),
        ),
        st.booleans(),
        st.integers(0, 24),
        st.integers(1, 2),
        st.sampled_from([None, None, OFFICE]),
    ),
    min_size=1,
    max_size=4,
)


class AnyRestore(TestCase):
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        steps=STEPS,
        signed_up=st.lists(st.integers(0, 8), min_size=1, max_size=3),
        viewed=st.lists(st.integers(0, 72), max_size=3),
        backup=st.integers(1, 48),
        lost=st.integers(1, 48),
    )
    @example(
        steps=[
            step(wait_for={"events": ["Viewed"], "timeout": lasts(1, "days")}),
            step(delay=lasts(3, "hours"), window=OFFICE),
        ],
        signed_up=[7],
        viewed=[25],
        backup=11,
        lost=26,
    )
    def test_what_left_before_never_leaves_after(
        self, steps, signed_up, viewed, backup, lost
    ):
        """Live on from the backup to the loss; then go back, restore, and live on."""
        IngestState.objects.update_or_create(pk=1, defaults={"rotated_at": MONDAY})
        still = Clock()
        with clock.use(still):
            world = World(still)
            world.rule("tips", "Signed Up", steps=steps)
            posts = sorted(
                [(hour, f"u{n}", "Signed Up") for n, hour in enumerate(signed_up)]
                + [(hour, "u0", "Viewed") for hour in viewed]
            )
            live(world, posts, 0, backup)
            point = transaction.savepoint()
            live(world, posts, backup, backup + lost)
            left = sent()
            transaction.savepoint_rollback(point)
            fresh()
            known = sent()
            restored()
            with incarnation.allowed():
                put_in_order(until=hours(backup + lost))
            live(world, [], backup + lost, 400)
            assert sent() - known & left - known == set()
            assert differences() == []
            IngestState.objects.update(incarnation="")
            forget_connection()


def hours(count) -> datetime:
    return at("09:00") + timedelta(hours=count)


def live(world, posts, start, end):
    """Post what happens in start <= hour < end and work hour by hour, to the end."""
    moments = sorted({*range(start, end, 1 if end < 200 else 12), end})
    for hour in moments:
        world.clock.time = hours(hour)
        for when, user, name in posts:
            if when == hour and hour < end:
                world.known(user)
                world.does(user, name)
        world.work()


def sent():
    """Return (customer's user id, step) of what left."""
    return set(
        Message.objects.filter(state="sent").values_list("customer__user_id", "step")
    )


def fresh():
    for memory in (rulesets, marks, partitions):
        memory.forget()
    forget_ids()
