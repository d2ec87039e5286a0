"""Housekeeping: nothing is lost early, nothing is kept for ever, two do no harm."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.transaction import atomic

from campaigns.deciding import clock, rulesets, transaction
from campaigns.dispatch import housekeeping
from campaigns.domain.events import EventType
from campaigns.ingest import partitions
from campaigns.models import (
    Conversion,
    Cooldown,
    DecisionCount,
    Event,
    IngestState,
    Journey,
    RejectedEvent,
    Source,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.reports.sums import differences
from tests.db.actors import Actor, Stop, at_once, waits_for
from tests.db.world import MONDAY, Clock, World, at, lasts
from tests.keel.live import empty_database

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture
def world(settings):
    settings.DEDUPE_DAYS = 30
    settings.EVENT_RETENTION_MONTHS = 2
    empty_database()
    before = months()
    still = Clock()
    with clock.use(still):
        IngestState.objects.update(rotated_at=still.time, generation=0)
        yield World(still)
    empty_database()
    with connection.cursor() as cursor:
        for name in set(months()) - set(before):
            cursor.execute(f"DROP TABLE campaigns_event_{name}")
    partitions.forget()


def months():
    """Return the months ("2026_03") that have a partition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT right(inhrelid::regclass::text, 7) FROM pg_inherits"
            " WHERE inhparent = 'campaigns_event'::regclass ORDER BY 1"
        )
        return [name for (name,) in cursor.fetchall()]


def keys():
    """Return how many keys each generation holds."""
    counts = []
    with connection.cursor() as cursor:
        for generation in (0, 1):
            cursor.execute(f"SELECT count(*) FROM campaigns_dedupe_{generation}")
            counts.append(cursor.fetchone()[0])
    return counts


# --- Partitions ------------------------------------------------------------------
def test_partitions_are_there_months_ahead(world):
    housekeeping.create_partitions(at("09:00"))
    ahead = {"2026_03", "2026_04", "2026_05", "2026_06"}
    assert ahead <= set(months())
    housekeeping.create_partitions(datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    assert {"2026_11", "2026_12", "2027_01", "2027_02"} <= set(months())


def test_an_event_of_a_month_without_partition_makes_it(world):
    world.clock.time = datetime(2031, 7, 1, tzinfo=UTC)
    assert "2031_07" not in months()
    assert world.does("ann", "Viewed").accepted == 1
    assert "2031_07" in months()
    assert Event.objects.get().received_at == world.clock.time


def test_the_last_moment_of_a_month_and_the_first_of_the_next_are_both_stored(world):
    first = datetime(2031, 8, 1, tzinfo=UTC)
    for moment in (first - timedelta(microseconds=1), first):
        world.clock.time = moment
        assert world.does("ann", "Viewed").accepted == 1
    assert Event.objects.count() == 2


def test_old_partitions_are_dropped_whole_months_later_and_the_rest_is_kept(world):
    for month in (3, 4, 5, 6):
        world.clock.time = datetime(2031, month, 15, tzinfo=UTC)
        world.does("ann", "Viewed", message_id=f"month {month}")
    housekeeping.drop_old_events(datetime(2031, 6, 30, 23, tzinfo=UTC))
    assert list(Event.objects.order_by("id").values_list("message_id", flat=True)) == [
        "month 4",
        "month 5",
        "month 6",
    ]
    assert "2031_03" not in months()
    housekeeping.drop_old_events(datetime(2031, 7, 1, tzinfo=UTC))
    assert Event.objects.order_by("id")[0].message_id == "month 5"


def test_two_at_once_create_and_drop_partitions_without_an_error(world):
    world.clock.time = datetime(2031, 3, 15, tzinfo=UTC)
    world.does("ann", "Viewed")
    later = datetime(2031, 9, 1, tzinfo=UTC)
    at_once(*[lambda: housekeeping.create_partitions(later)] * 4)
    assert {"2031_09", "2031_10", "2031_11", "2031_12"} <= set(months())
    at_once(*[lambda: housekeeping.drop_old_events(later)] * 4)
    assert "2031_03" not in months()
    assert not Event.objects.exists()


def backup_under_way():
    """Read every partition until told to end, as pg_dump does for hours."""
    reading = Stop("backup")

    def read():
        with atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE campaigns_event IN ACCESS SHARE MODE")
            reading.before(lambda: None)()

    backup = Actor("backup", read).begin()
    reading.reached()
    return reading, backup


def test_a_backup_delays_neither_a_new_months_events_nor_the_old_ones_end(world):
    world.clock.time = datetime(2031, 3, 15, tzinfo=UTC)
    world.does("ann", "Viewed")
    reading, backup = backup_under_way()
    world.clock.time = datetime(2031, 9, 1, tzinfo=UTC)
    assert world.does("ann", "Viewed").accepted == 1  # makes its partition
    housekeeping.create_partitions(world.clock.time)
    assert {"2031_09", "2031_10", "2031_11", "2031_12"} <= set(months())
    housekeeping.drop_old_events(world.clock.time)  # not now, and without waiting
    assert "2031_03" in months()
    assert world.does("ann", "Viewed").accepted == 1
    reading.go()
    backup.result()
    housekeeping.drop_old_events(world.clock.time)
    assert "2031_03" not in months()
    assert Event.objects.count() == 2


def test_a_new_partition_has_the_indexes_of_the_others(world):
    partitions.create(datetime(2031, 9, 1, tzinfo=UTC))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhrelid IN (SELECT indexrelid"
            " FROM pg_index WHERE indrelid = 'campaigns_event_2031_09'::regclass)"
        )
        attached = cursor.fetchone()[0]
        cursor.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'campaigns_event'::regclass"
        )
        assert cursor.fetchone() == (attached,)
    assert attached == 3


# --- Dedupe keys (invariant 2) ------------------------------------------------------
def test_a_key_lives_for_its_days_over_rotations(world):
    event = world.event(name="Viewed", user_id="ann", message_id="once")
    world.clock.time = MONDAY + 29 * DAY  # the last day before a rotation
    assert world.post(event).accepted == 1
    for days in (30, 31, 45, 59):
        world.clock.time = MONDAY + days * DAY + timedelta(hours=9)
        housekeeping.rotate_dedupe(world.clock.time)
        assert world.post(event).duplicates == 1, days
    assert sum(keys()) == 1
    # Two rotations, each after 30 days: older than 30 days for certain.
    world.clock.time = MONDAY + 61 * DAY
    housekeeping.rotate_dedupe(world.clock.time)
    assert sum(keys()) == 0
    assert world.post(event).accepted == 1


def test_nothing_is_rotated_before_its_time(world):
    world.does("ann", "Viewed")
    housekeeping.rotate_dedupe(at("08:59", day=30))
    assert (IngestState.objects.get().generation, keys()) == (0, [1, 0])
    housekeeping.rotate_dedupe(at("09:00", day=30))
    state = IngestState.objects.get()
    assert (state.generation, state.rotated_at) == (1, at("09:00", day=30))
    world.does("ann", "Viewed")
    assert keys() == [1, 1]


def test_two_rotations_at_once_are_one(world):
    """The second would empty the keys of today."""
    world.does("ann", "Viewed", message_id="once")
    due = at("09:00", day=30)
    at_once(*[lambda: housekeeping.rotate_dedupe(due)] * 6)
    housekeeping.rotate_dedupe(due)
    assert IngestState.objects.get().generation == 1
    assert keys() == [1, 0]
    assert world.does("ann", "Viewed", message_id="once").duplicates == 1


def test_a_rotation_that_would_have_to_wait_comes_back_later(world, monkeypatch):
    writing = Stop("ingest")
    through = writing.before(transaction.changes)
    monkeypatch.setattr(transaction, "changes", through)
    ingest = Actor(
        "ingest", lambda: world.does("ann", "Viewed", message_id="once")
    ).begin()
    writing.reached()
    due = at("09:00", day=30)
    housekeeping.rotate_dedupe(due)
    assert IngestState.objects.get().generation == 0
    writing.go()
    assert ingest.result().accepted == 1
    housekeeping.rotate_dedupe(due)
    assert IngestState.objects.get().generation == 1
    assert world.does("ann", "Viewed", message_id="once").duplicates == 1


def test_posts_around_a_rotation_count_once_each(world):
    """Sixteen clients repeat themselves while the generations change places."""
    events = [
        world.event(name="Viewed", user_id=f"u{n}", message_id=f"m{n}")
        for n in range(8)
    ]
    due = at("09:00", day=30)

    def client():
        return sum(world.post(e).accepted for e in events)

    def rotate():
        while IngestState.objects.get().generation == 0:
            housekeeping.rotate_dedupe(due)
        return 0

    assert sum(at_once(*[client] * 6, rotate)) == 8
    assert Event.objects.count() == 8
    assert sum(keys()) == 8


# --- Sums and leftovers --------------------------------------------------------------
def counts():
    return sorted(DecisionCount.objects.values_list("hour", "reason", "count"))


def test_a_roll_up_keeps_the_sums_and_leaves_the_present_hour_alone(world):
    world.rule("news", "Viewed", cooldown={"duration": lasts(1, "days"), "key": None})
    for hour in ("09:10", "10:10"):
        world.clock.time = at(hour)
        for _ in range(3):
            world.does("ann", "Viewed")
    housekeeping.roll_up_counts(at("10:59"))
    assert counts() == [
        (at("09:00"), "cooldown", 2),
        (at("09:00"), "entered", 1),
        (at("10:00"), "cooldown", 1),
        (at("10:00"), "cooldown", 1),
        (at("10:00"), "cooldown", 1),
    ]
    housekeeping.roll_up_counts(at("11:00"))
    housekeeping.roll_up_counts(at("11:00"))
    assert counts() == [
        (at("09:00"), "cooldown", 2),
        (at("09:00"), "entered", 1),
        (at("10:00"), "cooldown", 3),
    ]
    assert differences() == []


def test_two_roll_ups_at_once_and_a_late_delta_keep_the_sums(world):
    rule = world.rule("news", "Viewed")
    DecisionCount.objects.bulk_create(
        DecisionCount(rule_id=rule, hour=at("09:00"), reason="cooldown", count=1)
        for _ in range(200)
    )

    def add():
        for _ in range(20):
            DecisionCount.objects.create(
                rule_id=rule, hour=at("09:00"), reason="cooldown", count=1
            )

    at_once(*[lambda: housekeeping.roll_up_counts(at("12:00"))] * 4, add, add)
    assert sum(count for *_, count in counts()) == 240
    housekeeping.roll_up_counts(at("12:00"))
    assert counts() == [(at("09:00"), "cooldown", 240)]


def test_only_cooldowns_that_are_over_are_deleted(world):
    world.rule("short", "Viewed", cooldown={"duration": lasts(1, "hours"), "key": None})
    long = world.rule(
        "long", "Viewed", cooldown={"duration": lasts(2, "hours"), "key": None}
    )
    world.known("ann")
    world.does("ann", "Viewed")
    housekeeping.delete_cooldowns(at("11:30"))
    assert [c.rule_id for c in Cooldown.objects.all()] == [long]


def test_a_cooldown_that_begins_anew_meanwhile_is_kept(world):
    """Not every PostgreSQL looks at a ctid again behind a lock; `until` each does."""
    rule = world.rule(
        "news", "Viewed", cooldown={"duration": lasts(1, "hours"), "key": None}
    )
    world.known("ann")
    world.does("ann", "Viewed")
    # Of many, as a small table may be read whole, which looks at all again anyway.
    Cooldown.objects.bulk_create(
        Cooldown(customer_id=10**9 + n, rule_id=rule, key="", until=at("09:00", day=9))
        for n in range(5_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE campaigns_cooldown")
    written = Stop("renewal")

    def renew():
        with atomic():
            Cooldown.objects.filter(until__lt=at("11:00")).update(until=at("12:00"))
            written.before(lambda: None)()

    renewal = Actor("renewal", renew).begin()
    written.reached()
    house = Actor("house", lambda: housekeeping.delete_cooldowns(at("11:30"))).begin()
    waits_for(house, renewal)
    written.go()
    renewal.result()
    house.result()
    assert Cooldown.objects.filter(until=at("12:00")).exists()


def test_a_goal_is_watched_to_its_end_and_counts_if_it_is_told_late(world):
    goal = {"event": "Bought", "window": lasts(7, "days")}
    world.rule("lift", "Viewed", goal=goal)
    world.known("ann")
    world.does("ann", "Viewed")
    world.work()
    housekeeping.forget_goals(at("09:00", day=7))
    assert Journey.objects.get().watched_until is not None
    world.clock.time = at("12:00", day=7)
    world.does("ann", "Bought", occurred_at=at("08:00", day=7))
    assert Conversion.objects.count() == 1
    world.does("ann", "Viewed")
    world.work()
    housekeeping.forget_goals(at("12:01", day=15))
    assert set(Journey.objects.values_list("watched_until", flat=True)) == {None}


def test_refused_events_and_applied_webhooks_go_after_thirty_days(world):
    endpoint = WebhookEndpoint.objects.create(slug="s", public_keys=["k"])
    for days in (0, 2):
        RejectedEvent.objects.create(
            received_at=MONDAY + days * DAY,
            source=Source.objects.get(name="backend"),
            code=f"day {days}",
            detail="d",
        )
        for pending in (None, MONDAY):
            WebhookBatch.objects.create(
                endpoint=endpoint,
                received_at=MONDAY + days * DAY,
                pending_at=pending,
                body=b"[]",
            )
    housekeeping.delete_refused(MONDAY + 31 * DAY)
    assert [r.code for r in RejectedEvent.objects.all()] == ["day 2"]
    kept = WebhookBatch.objects.order_by("id").values_list("received_at", "pending_at")
    assert sorted(map(str, kept)) == sorted(
        map(
            str,
            [
                (MONDAY, MONDAY),  # not applied yet: never thrown away
                (MONDAY + 2 * DAY, None),
                (MONDAY + 2 * DAY, MONDAY),
            ],
        )
    )


def test_a_session_goes_when_it_has_ended(world):
    for key, ends in (("over", at("09:00")), ("open", at("10:01"))):
        Session.objects.create(session_key=key, expire_date=ends)
    housekeeping.delete_sessions(at("10:00"))
    assert [s.session_key for s in Session.objects.all()] == ["open"]
    assert housekeeping.delete_sessions in housekeeping.PARTS


def test_sessions_that_ended_are_deleted_some_at_a_time(world, monkeypatch):
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    for clock_time in ("07:00", "08:00", "09:00", "10:01"):
        Session.objects.create(session_key=clock_time, expire_date=at(clock_time))

    def left():
        housekeeping.delete_sessions(at("10:00"))
        rows = Session.objects.order_by("expire_date")
        return [row.session_key for row in rows]

    assert left() == ["09:00", "10:01"]
    assert left() == ["10:01"]
    assert left() == ["10:01"]


def test_all_of_it_twice_at_once_leaves_healthy_books(world):
    world.rule("news", "Viewed", goal={"event": "Bought", "window": lasts(1, "days")})
    world.known("ann")
    world.does("ann", "Viewed")
    world.work()
    before = (Journey.objects.count(), Event.objects.count())
    at_once(*[lambda: housekeeping.run(at("10:00", day=3))] * 3)
    housekeeping.run(at("10:00", day=3))
    assert (Journey.objects.count(), Event.objects.count()) == before
    assert differences() == []


def test_one_part_that_fails_does_not_stop_the_others(world, caplog):
    """Somebody holds the ruleset for a publish: the rotation alone is put off."""
    world.does("ann", "Viewed")
    holding = Stop("publisher")
    original = rulesets.bump

    def publish():
        transaction.decide(lambda _: holding.before(original)(), exclusive=True)

    publisher = Actor("publisher", publish).begin()
    holding.reached()
    housekeeping.run(at("09:00", day=30))
    assert IngestState.objects.get().generation == 0
    assert {"2026_04", "2026_05", "2026_06", "2026_07"} <= set(months())
    holding.go()
    publisher.result()
    housekeeping.run(at("09:00", day=30))
    assert IngestState.objects.get().generation == 1
    assert "failed" not in caplog.text


def test_an_identify_is_deduplicated_like_any_event(world):
    event = world.event(EventType.IDENTIFY, user_id="ann", message_id="i")
    assert world.post(event).accepted == 1
    assert world.post(event).duplicates == 1
