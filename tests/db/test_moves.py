"""What a resume and an archive reach, however much there is of it."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.journeys import moves
from campaigns.journeys.advance import advance_due
from campaigns.journeys.publishing import archive, pause, resume
from campaigns.models import Journey, Message
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.operator import redrive
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import rescue
from tests.db.world import at, lasts, step

pytestmark = pytest.mark.django_db


def held_again(world):
    """Leave a mail of an ended journey, to be sent again, held by a pause."""
    rule = world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    claims = claim(limit=8)
    begin(claims, prepare(claims))
    Message.objects.update(lease_until="2020-01-01T00:00Z")
    rescue()
    world.clock.time = at("10:00")
    redrive(Message.objects.get().pk)
    pause(rule, by="eve")
    world.work()
    assert Journey.objects.get().state == "finished"
    assert world.mails() == [("welcome", 0, 0, "held", "rule_paused")]
    return rule


def test_a_resume_releases_a_mail_sent_again_whose_journey_has_ended(world):
    rule = held_again(world)
    assert resume(rule, by="eve")
    world.work()
    assert world.mails() == [("welcome", 0, 0, "sent", "")]


def test_what_a_killed_resume_left_of_such_mails_is_finished(world, monkeypatch):
    rule = held_again(world)
    monkeypatch.setattr("campaigns.journeys.publishing.MOVE_NOW_S", 0)
    assert resume(rule, by="eve") is False
    assert moves.finish_moves() == 1
    assert world.mails() == [("welcome", 0, 0, "queued", "")]
    assert moves.finish_moves() == 0


def test_an_archive_cancels_a_mail_sent_again(world):
    rule = held_again(world)
    assert archive(rule, by="eve")
    assert world.mails() == [("welcome", 0, 0, "cancelled", "rule_archived")]
    assert moves.finish_moves() == 0


def parked(world, monkeypatch, *, people):
    """Park that many people's journeys by a pause; batches are of two."""
    monkeypatch.setattr(moves, "BATCH", 2)
    rule = world.rule("welcome", "Signed Up", steps=[step(delay=lasts(1, "hours"))])
    for number in range(people):
        world.known(f"u{number}")
        world.does(f"u{number}", "Signed Up")
    pause(rule, by="eve")
    world.work_at(at("10:30"))
    assert set(Journey.objects.values_list("state", flat=True)) == {"held"}
    return rule


@pytest.mark.parametrize(
    ("move", "ends"),
    [(resume, "waiting"), (archive, "cancelled")],
    ids=["resume", "archive"],
)
def test_each_batch_goes_on_after_the_last(world, monkeypatch, move, ends):
    rule = parked(world, monkeypatch, people=5)
    ids = sorted(Journey.objects.values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as seen:
        assert move(rule, by="eve")
    assert set(Journey.objects.values_list("state", flat=True)) == {ends}
    picks = [q["sql"] for q in seen if f"LIMIT {moves.BATCH}" in q["sql"]]
    after = [int(n) for pick in picks for n in re.findall(r'"id" > \(?(\d+)', pick)]
    assert after[:4] == [0, ids[1], ids[3], ids[4]]


@pytest.mark.parametrize(
    ("find", "index"),
    [
        (moves._parked, "journey_held_idx"),
        (moves._open, "journey_open_idx"),
        (moves._held_back, "message_held_idx"),
        (moves._redriven, "message_held_idx"),
    ],
    ids=["parked", "open", "held back", "sent again"],
)
def test_a_batch_is_a_range_of_an_index(world, find, index):
    rows = find().filter(rule_id=1, pk__gt=7).order_by("pk").values_list("pk")[:200]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = rows.explain()
    assert index in plan
    assert "Sort" not in plan
    assert "id > " in plan.partition("Index Cond:")[2].partition("\n")[0]
