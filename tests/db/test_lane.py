"""Many requests in one commit: each has its own answer, and no other's trouble."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.deciding.database import DatabaseAway
from campaigns.deciding.rulesets import RULESET_LOCK
from campaigns.domain.events import (
    EventType,
    IncomingEvent,
    RejectedInput,
    SourceRef,
    Trust,
)
from campaigns.ingest import lane as lanes
from campaigns.ingest.lane import ALONE_EVENTS, Lane, LaneFull
from campaigns.ingest.record import Batch, Recorded
from campaigns.models import Event, RejectedEvent, Source
from tests.e2e.product import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN_S = 30
AT = datetime(2026, 3, 1, tzinfo=UTC)
UNSTORABLE = {"nul": "\0"}  # which jsonb refuses
UNSENDABLE = {"what": object()}  # no JSON at all, so a bug of ours
NOT_TAKEN = RejectedInput(code="odd", detail="It is odd.")
_numbers = count()


@pytest.fixture
def source(transactional_db):
    Event.objects.all().delete()  # a flush passes over the partitioned table
    row = Source.objects.create(name="Shop", kind="segment")
    return SourceRef(row.pk, row.name, Trust.SECRET)


@pytest.fixture
def lane():
    made = Lane()
    yield made
    assert made.close(patience_s=WITHIN_S)


def an_event(message_id, properties=()):
    return IncomingEvent(
        message_id=message_id,
        type=EventType.TRACK,
        name="Viewed",
        user_id=f"u-{message_id}",
        properties=dict(properties),
        occurred_at=AT,
    )


@contextmanager
def commit_held():
    """Let no decision go on until the end of the block."""
    parameters = connection.get_connection_params() | {"cursor_factory": None}
    with psycopg.connect(**parameters) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [RULESET_LOCK])
        yield


def waiting_sessions():
    """Return the sessions that wait for a decision to end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"
            " AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def commits():
    """Return how many transactions stored the events that are there."""
    return Event.objects.values("received_at").distinct().count()


def submit_together(lane, batches):
    """Submit batches so that all but the first stand in line at once."""
    with commit_held():
        first = lane.submit(batches[0])
        wait_for(waiting_sessions, "the first is being committed")
        return [first, *(lane.submit(batch) for batch in batches[1:])]


def test_what_comes_during_a_commit_is_committed_together(lane, source):
    batches = [Batch([an_event(f"m{n}")], source) for n in range(40)]
    answers = submit_together(lane, batches)
    assert [a.result(WITHIN_S) for a in answers] == [Recorded(1)] * 40
    assert (Event.objects.count(), commits()) == (40, 2)


def test_a_group_holds_about_as_many_events_as_it_may(lane, source, monkeypatch):
    monkeypatch.setattr(lanes, "GROUP_EVENTS", 10)
    batches = [
        Batch([an_event(f"m{n}-{i}") for i in range(4)], source) for n in range(7)
    ]
    answers = submit_together(lane, batches)
    assert [a.result(WITHIN_S).accepted for a in answers] == [4] * 7
    assert commits() == 3  # the first; three of four events; three more


def test_a_result_is_told_only_when_it_is_durable(lane, source):
    with commit_held():
        answer = lane.submit(Batch([an_event("m")], source))
        wait_for(waiting_sessions, "it is under way")
        assert not answer.done()
    assert answer.result(WITHIN_S) == Recorded(1)
    assert Event.objects.count() == 1


# --- Any members, each with its own result ------------------------------------

ITEMS = st.sampled_from(["new", "again", "unstorable"])
BATCHES = st.lists(
    st.tuples(st.lists(ITEMS, max_size=4), st.booleans(), st.sampled_from([0] * 5 + [1])),
    min_size=1,
    max_size=12,
)  # fmt: skip


class Expected:
    """What each batch in a row should be told, and what should be kept of all."""

    def __init__(self, source):
        self.source = source
        self.kept = []
        self.prefix = f"e{next(_numbers)}"
        self._ids = count()

    def take(self, items, odd, poison):
        """Return a batch, and its result; None if it must fail alone."""
        before = list(self.kept)
        events, result = [], Recorded(refused=(NOT_TAKEN,) if odd else ())
        for item in items:
            name = f"{self.prefix}-{next(self._ids)}"
            if item == "again" and self.kept:
                name = self.kept[-1]
                result += Recorded(duplicates=1)
            elif item == "unstorable":
                refused = RejectedInput(
                    code="refused_22P05", detail="", message_id=name
                )
                result += Recorded(refused=(refused,))
            else:
                self.kept.append(name)
                result += Recorded(1)
            properties = UNSTORABLE if item == "unstorable" else ()
            events.append(an_event(name, properties))
        batch = Batch(events, self.source, (NOT_TAKEN,) if odd else ())
        if not poison:
            return batch, result
        self.kept = before
        bad = an_event(f"{self.prefix}-{next(self._ids)}", UNSENDABLE)
        return Batch([*events, bad], self.source), None


def told(answer):
    """Return a result without its words, None for the failure of a bad batch."""
    try:
        result = answer.result(WITHIN_S)
    except TypeError:
        return None
    return (result.accepted, result.duplicates, sorted(r.code for r in result.refused))


@given(rows=BATCHES, together=st.booleans())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_each_has_its_own_result_whatever_the_others_bring(
    lane, source, rows, together
):
    expected = Expected(source)
    batches, results = zip(*(expected.take(*row) for row in rows), strict=True)
    if together:
        answers = submit_together(lane, batches)
    else:
        answers = [lane.submit(batch) for batch in batches]
    assert [told(a) for a in answers] == [
        r and (r.accepted, r.duplicates, sorted(x.code for x in r.refused))
        for r in results
    ]
    stored = Event.objects.filter(message_id__startswith=f"{expected.prefix}-")
    in_order = list(stored.order_by("id").values_list("message_id", flat=True))
    assert in_order == expected.kept


def test_a_poisonous_member_harms_no_other_and_order_is_kept(lane, source):
    batches = [Batch([an_event(f"m{n}")], source) for n in range(9)]
    batches[3] = Batch([an_event("bad", UNSENDABLE)], source)
    batches[6] = Batch([an_event("odd", UNSTORABLE), an_event("fine")], source)
    answers = submit_together(lane, batches)
    assert [type(a.exception(WITHIN_S)) for a in answers] == [
        TypeError if n == 3 else type(None) for n in range(9)
    ]
    assert answers[6].result().refused[0].code == "refused_22P05"
    names = Event.objects.order_by("id").values_list("message_id", flat=True)
    assert list(names) == ["m0", "m1", "m2", "m4", "m5", "fine", "m7", "m8"]
    assert RejectedEvent.objects.get().message_id == "odd"


def test_threads_that_bring_the_same_events_count_each_once(lane, source):
    start = threading.Barrier(8)

    def client(thread):
        start.wait(WITHIN_S)
        results = []
        for n in range(12):
            own = an_event(f"own-{thread}-{n:02}")
            shared = an_event(f"shared-{n}")
            results.append(lane.record(Batch([own, shared], source)))
        return results

    with ThreadPoolExecutor(8) as pool:
        results = [r for rows in pool.map(client, range(8)) for r in rows]
    assert sum(r.accepted for r in results) == 8 * 12 + 12 == Event.objects.count()
    assert all(r.accepted + r.duplicates == 2 for r in results)
    for thread in range(8):
        mine = Event.objects.filter(message_id__startswith=f"own-{thread}-")
        names = list(mine.order_by("id").values_list("message_id", flat=True))
        assert names == sorted(names)


# --- The database, and the end ------------------------------------------------


def test_a_connection_that_died_unused_is_opened_again(lane, source):
    assert lane.record(Batch([an_event("m1")], source)) == Recorded(1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert lane.record(Batch([an_event("m2")], source)) == Recorded(1)


def test_all_who_wait_are_told_when_the_database_is_away(lane, source, tmp_path):
    batches = [Batch([an_event(f"m{n}")], source) for n in range(6)]
    at = connection.settings_dict
    host = at["HOST"]
    try:
        with commit_held():
            answers = [lane.submit(batches[0])]
            (pid,) = wait_for(waiting_sessions, "the first is under way")
            answers += [lane.submit(batch) for batch in batches[1:]]
            at["HOST"] = str(tmp_path)  # nobody listens there
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        errors = [a.exception(WITHIN_S) for a in answers]
    finally:
        at["HOST"] = host
    assert [type(e) for e in errors] == [DatabaseAway] * 6
    assert len(set(map(id, errors))) == 6  # each raises its own
    assert Event.objects.count() == 0
    assert [lane.record(b) for b in batches] == [Recorded(1)] * 6


def test_a_full_line_refuses_and_what_stands_in_it_is_recorded(source):
    lane = Lane(most_waiting=3)
    with commit_held():
        answers = [lane.submit(Batch([an_event("m")], source))]
        wait_for(waiting_sessions, "it is under way")
        answers += [lane.submit(Batch([an_event(f"m{n}")], source)) for n in range(3)]
        with pytest.raises(LaneFull):
            lane.submit(Batch([an_event("too many")], source))
    assert lane.close(patience_s=WITHIN_S)
    assert [a.result(0) for a in answers] == [Recorded(1)] * 4
    assert not Event.objects.filter(message_id="too many").exists()


def test_a_close_answers_what_was_taken_and_the_lane_may_start_again(source):
    lane = Lane()
    assert lane.close(patience_s=0)
    batches = [Batch([an_event(f"m{n}")], source) for n in range(5)]
    answers = submit_together(lane, batches)
    assert lane.close(patience_s=WITHIN_S)
    assert [a.done() for a in answers] == [True] * 5
    assert lane.record(Batch([an_event("later")], source)) == Recorded(1)
    assert lane.close(patience_s=WITHIN_S)
    assert "lane" not in {t.name for t in threading.enumerate()}


def test_who_no_longer_waits_is_left_out_and_stops_nobody(lane, source):
    with commit_held():
        first = lane.submit(Batch([an_event("first")], source))
        wait_for(waiting_sessions, "it is under way")
        gone = [lane.submit(Batch([an_event(f"m{n}")], source)) for n in range(3)]
        last = lane.submit(Batch([an_event("last")], source))
        assert not first.cancel()
        assert all(answer.cancel() for answer in gone)
    assert [a.result(WITHIN_S) for a in (first, last)] == [Recorded(1)] * 2
    assert Event.objects.count() == 2


def test_a_big_batch_goes_straight_past_those_who_wait(lane, source):
    events = [an_event(f"m{n}") for n in range(ALONE_EVENTS)]
    assert lane.record(Batch(events, source)) == Recorded(ALONE_EVENTS)
    assert "lane" not in {t.name for t in threading.enumerate()}


def test_within_a_transaction_it_is_part_of_that(lane, source):
    with transaction.atomic():
        lane.record(Batch([an_event("m")], source))
        transaction.set_rollback(True)
    assert Event.objects.count() == 0


def test_a_forked_child_starts_a_thread_of_its_own(lane, source):
    lane.record(Batch([an_event("m1")], source))
    parents = lane._line, lane._thread
    lane.begin_anew()  # as in a forked child, where the parent's thread is not
    assert lane.record(Batch([an_event("m2")], source)) == Recorded(1)
    assert lane._thread is not parents[1]
    assert lane.close(patience_s=WITHIN_S)
    lane._line, lane._thread = parents
