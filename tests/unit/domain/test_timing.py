from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns.domain.documents import Duration, Quiet, Unit, Window
from campaigns.domain.timing import (
    WindowNeverOpens,
    add,
    due_at,
    elapsed,
    is_open,
    next_open,
    zone_of,
)
from campaigns.domain.week import open_intervals

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
OFFICE = Window(weekdays=(0, 1, 2, 3, 4), start="09:00", end="17:00")
NIGHT = Quiet(start="22:00", end="07:00")
MINUTE = timedelta(minutes=1)


@cache
def zones() -> list[str]:
    return sorted(available_timezones())


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def in_zone(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="minutes")


def span(amount: int, unit: Unit) -> Duration:
    return Duration(amount=amount, unit=unit)


times = st.builds(lambda m: f"{m // 60:02d}:{m % 60:02d}", st.integers(0, 1439))
moments = st.datetimes(
    datetime(2005, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2037, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
zone_names = st.deferred(lambda: st.sampled_from(zones()))
windows = st.builds(
    lambda days, start, end: Window(
        weekdays=tuple(sorted(days)), start=start, end="24:00" if end == start else end
    ),
    st.sets(st.integers(0, 6), min_size=1),
    times,
    times,
)
quiets = st.builds(lambda start, end: Quiet(start=start, end=end), times, times).filter(
    lambda quiet: quiet.start != quiet.end
)
durations = st.builds(
    span, st.integers(0, 400), st.sampled_from(["minutes", "hours", "days", "weeks"])
)
small_durations = durations.filter(lambda d: elapsed(d) <= timedelta(days=366))


@settings(deadline=None)
@given(moments, small_durations, st.none() | windows, st.none() | quiets, zone_names)
def test_a_mail_is_never_early_and_always_inside_its_window(
    base, delay, window, quiet, name
):
    zone = ZoneInfo(name)
    if not open_intervals(window, quiet):
        with pytest.raises(WindowNeverOpens):
            due_at(base, delay, window, quiet, zone)
        return
    due = due_at(base, delay, window, quiet, zone)
    earliest = add(base, delay, zone)
    assert due >= earliest >= base
    assert due.tzinfo is UTC
    assert is_open(due, window, quiet, zone)
    assert next_open(due, window, quiet, zone) == due
    assert due == earliest or not is_open(due - MINUTE / 60, window, quiet, zone)


def brute_is_open(moment, window, quiet, zone):
    """The rule said again, minute by minute, without intervals."""
    here = moment.astimezone(zone)
    clock, day = f"{here:%H:%M}", here.weekday()

    def between(start, end):
        if start < end:
            return [start <= clock < end, False]
        return [clock >= start, clock < end]

    silent = quiet is not None and any(between(quiet.start, quiet.end))
    if window is None:
        return not silent
    today, since_yesterday = between(window.start, window.end)
    allowed = (today and day in window.weekdays) or (
        since_yesterday and (day - 1) % 7 in window.weekdays
    )
    return allowed and not silent


@settings(deadline=None)
@given(moments, st.none() | windows, st.none() | quiets, zone_names)
def test_being_open_is_what_the_words_of_window_and_quiet_hours_say(
    at, window, quiet, name
):
    zone = ZoneInfo(name)
    if open_intervals(window, quiet):
        said = brute_is_open(at, window, quiet, zone)
        assert is_open(at, window, quiet, zone) is said


CHANGES = [
    (NEW_YORK, "2026-03-08T07:00"),  # 02:00 -> 03:00
    (NEW_YORK, "2026-11-01T06:00"),  # 02:00 -> 01:00
    (BERLIN, "2026-03-29T01:00"),
    (BERLIN, "2026-10-25T01:00"),
    (LORD_HOWE, "2026-10-03T15:30"),  # half an hour forward
    (LORD_HOWE, "2026-04-04T15:00"),  # half an hour back
    (APIA, "2011-12-30T10:00"),  # a whole day is left out
    (ZoneInfo("America/St_Johns"), "2026-11-01T04:30"),
    (ZoneInfo("Africa/Casablanca"), "2026-02-15T02:00"),
    (ZoneInfo("Asia/Kathmandu"), "2026-02-15T02:00"),
]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(CHANGES),
    st.integers(-180, 180),
    st.integers(-150, 150),
    st.integers(1, 90),
)
@example((NEW_YORK, "2026-11-01T06:00"), -10, -50, 15)
@example((NEW_YORK, "2026-03-08T07:00"), -30, 10, 20)
def test_around_a_change_of_the_clocks_the_first_open_minute_is_found(
    change, start, opens, length
):
    zone, moment = change[0], utc(change[1])
    at = moment + start * MINUTE
    first = (moment + opens * MINUTE).astimezone(zone)
    minute = first.hour * 60 + first.minute
    last = (minute + length) % 1440
    window = Window(
        weekdays=EVERY_DAY,
        start=f"{minute // 60:02d}:{minute % 60:02d}",
        end=f"{last // 60:02d}:{last % 60:02d}",
    )
    found = next_open(at, window, None, zone)
    wanted = at
    while not brute_is_open(wanted, window, None, zone):
        wanted += MINUTE
    assert found == wanted


def test_in_every_zone_of_the_world_a_year_of_mornings_is_a_year_of_mornings():
    window = Window(weekdays=EVERY_DAY, start="09:00", end="09:30")
    wrong = set()
    for name in zones():
        zone, at = ZoneInfo(name), utc("2026-01-01T12:00")
        for _ in range(13):
            at = due_at(at, span(30, "days"), window, None, zone)
            if at.astimezone(zone).strftime("%H:%M") != "09:00":
                wrong.add(name)
    assert len(zones()) > 400
    assert wrong == set()


@settings(deadline=None)
@given(moments, st.integers(0, 100_000), zone_names)
def test_minutes_and_hours_are_elapsed_time(base, amount, name):
    zone = ZoneInfo(name)
    assert add(base, span(amount, "minutes"), zone) - base == amount * MINUTE
    assert add(base, span(amount, "hours"), zone) - base == 60 * amount * MINUTE


@settings(deadline=None)
@given(moments, st.integers(0, 300), zone_names)
def test_days_keep_the_local_clock_unless_the_clocks_skip_it(base, amount, name):
    zone = ZoneInfo(name)
    then = add(base, span(amount, "days"), zone)
    before = base.astimezone(zone).replace(tzinfo=None)
    after = then.astimezone(zone).replace(tzinfo=None)
    wanted = before + timedelta(days=amount)
    exists = wanted.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    if exists.replace(tzinfo=None) == wanted:
        assert after == wanted
        assert amount == 0 or then.astimezone(zone).fold == 0
    else:
        assert wanted < after <= wanted + timedelta(days=1)
        assert (then - MINUTE).astimezone(zone).utcoffset() != then.astimezone(
            zone
        ).utcoffset()


def test_a_day_over_a_gap_ends_at_the_end_of_the_gap():
    base = in_zone("2026-03-07T02:30", NEW_YORK)
    then = add(base, span(1, "days"), NEW_YORK)
    assert local(then, NEW_YORK) == "2026-03-08T03:00-04:00"


def test_a_day_into_an_overlap_means_its_first_hour():
    base = in_zone("2026-10-31T01:30", NEW_YORK)
    then = add(base, span(1, "days"), NEW_YORK)
    assert local(then, NEW_YORK) == "2026-11-01T01:30-04:00"


def test_no_days_later_is_now_also_in_the_second_hour_of_an_overlap():
    second = utc("2026-11-01T06:30")
    assert add(second, span(0, "days"), NEW_YORK) == second


def test_a_day_that_the_island_left_out_counts_as_the_next_one():
    base = in_zone("2011-12-29T12:00", APIA)
    then = add(base, span(1, "days"), APIA)
    assert local(then, APIA) == "2011-12-31T00:00+14:00"


def test_a_week_over_a_change_of_the_clocks_is_the_same_local_hour():
    base = in_zone("2026-03-25T09:00", BERLIN)
    then = add(base, span(1, "weeks"), BERLIN)
    assert local(then, BERLIN) == "2026-04-01T09:00+02:00"
    assert then - base == timedelta(days=7, hours=-1)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-01-09T08:59", "2026-01-09T09:00+01:00"),
        ("2026-01-09T09:00", "2026-01-09T09:00+01:00"),
        ("2026-01-09T16:59", "2026-01-09T16:59+01:00"),
        ("2026-01-09T17:00", "2026-01-12T09:00+01:00"),  # Friday evening -> Monday
        ("2026-01-11T23:59", "2026-01-12T09:00+01:00"),
    ],
)
def test_an_office_window_is_half_open(at, opens):
    moment = next_open(in_zone(at, BERLIN), OFFICE, None, BERLIN)
    assert local(moment, BERLIN) == opens


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on():
    friday = Window(weekdays=(4,), start="22:00", end="02:00")
    assert is_open(in_zone("2026-01-10T01:59", BERLIN), friday, None, BERLIN)
    assert not is_open(in_zone("2026-01-09T01:59", BERLIN), friday, None, BERLIN)
    sunday = Window(weekdays=(6,), start="22:00", end="02:00")
    assert is_open(in_zone("2026-01-12T01:59", BERLIN), sunday, None, BERLIN)


def test_quiet_hours_push_to_their_end():
    at = in_zone("2026-01-09T22:00", BERLIN)
    assert local(next_open(at, None, NIGHT, BERLIN), BERLIN) == "2026-01-10T07:00+01:00"
    early = Window(weekdays=EVERY_DAY, start="06:00", end="08:00")
    opened = next_open(at, early, NIGHT, BERLIN)
    assert local(opened, BERLIN) == "2026-01-10T07:00+01:00"


def test_a_window_wholly_inside_a_gap_waits_for_its_next_day():
    window = Window(weekdays=(6,), start="02:10", end="02:20")
    moment = next_open(utc("2026-03-08T05:00"), window, None, NEW_YORK)
    assert local(moment, NEW_YORK) == "2026-03-15T02:10-04:00"


def test_a_window_that_opens_inside_a_gap_opens_at_its_very_end():
    window = Window(weekdays=(6,), start="02:30", end="05:00")
    moment = next_open(utc("2026-03-08T06:30:00.7"), window, None, NEW_YORK)
    assert moment == utc("2026-03-08T07:00")


def test_quiet_hours_that_cover_the_window_are_refused():
    early = Window(weekdays=(0,), start="05:00", end="06:00")
    with pytest.raises(WindowNeverOpens, match=r"^the quiet hours leave nothing of"):
        next_open(utc("2026-01-01T00:00"), early, NIGHT, BERLIN)
    with pytest.raises(WindowNeverOpens):
        is_open(utc("2026-01-01T00:00"), early, NIGHT, BERLIN)


def test_speed_divides_the_delay_and_leaves_the_window():
    base = in_zone("2026-01-09T08:00", BERLIN)
    fast = due_at(base, span(1, "hours"), None, None, BERLIN, speed=60)
    assert fast - base == MINUTE
    opened = due_at(base, span(1, "days"), OFFICE, None, BERLIN, speed=60)
    assert local(opened, BERLIN) == "2026-01-09T09:00+01:00"


@pytest.mark.parametrize(("speed", "hours"), [(1, 23), (2, 12)])
def test_only_at_speed_have_all_days_24_hours(speed, hours):
    """In the night of March 29 Berlin's clocks go forward."""
    base = in_zone("2026-03-28T12:00", BERLIN)
    due = due_at(base, span(1, "days"), None, None, BERLIN, speed=speed)
    assert due - base == hours * 60 * MINUTE


def test_every_result_is_in_utc_whatever_the_zone_it_was_asked_in():
    asked = datetime.fromisoformat("2026-01-09T23:30:15.25+05:30")
    for found in (
        add(asked, span(0, "days"), BERLIN),
        add(asked, span(5, "minutes"), BERLIN),
        next_open(asked, None, None, BERLIN),
        next_open(asked, OFFICE, None, BERLIN),
    ):
        assert found.tzinfo is UTC
    assert next_open(asked, None, None, BERLIN) == asked
    opens = in_zone("2026-01-12T09:00", BERLIN)  # that Friday is over at 19:00
    assert next_open(asked, OFFICE, None, BERLIN) == opens


def test_a_window_opens_at_the_full_minute():
    asked = in_zone("2026-01-09T06:59:59.999999", BERLIN)
    opens = in_zone("2026-01-09T09:00", BERLIN)
    assert next_open(asked, OFFICE, None, BERLIN) == opens


def test_a_time_without_a_zone_is_refused():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the very mistake
    with pytest.raises(ValueError, match=r"^a time without a zone"):
        next_open(naive, None, None, BERLIN)


@pytest.mark.parametrize(
    ("window", "quiet", "opens"),
    [
        (None, None, [(0, 10_080)]),
        (("00:00", "24:00", 0), None, [(0, 1440)]),
        (("22:00", "02:00", 6), None, [(0, 120), (9960, 10_080)]),
        (("09:30", "24:00", 0, 1), None, [(570, 1440), (2010, 2880)]),
        (("00:00", "24:00", 0, 1), None, [(0, 2880)]),
        (("22:00", "02:00", 0, 1), None, [(1320, 1560), (2760, 3000)]),
        (("09:00", "17:00", 0), ("12:00", "13:00"), [(540, 720), (780, 1020)]),
        (("09:00", "17:00", 0), ("17:00", "09:00"), [(540, 1020)]),
        (("09:00", "17:00", 0), ("16:00", "10:00"), [(600, 960)]),
        (("22:00", "07:00", 0), ("23:00", "06:00"), [(1320, 1380), (1800, 1860)]),
        (("09:00", "17:00", 0), ("08:00", "18:00"), []),
        (("09:00", "09:00", 0), None, []),
    ],
    ids=[
        "always", "a-day", "over-the-weeks-end", "two-days", "joined",
        "two-nights", "siesta", "touching", "both-ends", "night", "covered",
        "never",
    ],
)  # fmt: skip
def test_windows_are_the_open_minutes_of_a_week(window, quiet, opens):
    if window:
        start, end, *weekdays = window
        window = Window(weekdays=tuple(weekdays), start=start, end=end)
    if quiet:
        quiet = Quiet(start=quiet[0], end=quiet[1])
    assert open_intervals(window, quiet) == tuple(opens)


@pytest.mark.parametrize(
    "name",
    ["", " ", "Nowhere/City", "America", "../../etc/passwd", "/etc/passwd", "a\0b",
     "\udcff", "x" * 10_000, None, 7, True, ["Europe/Berlin"], {"a": 1}, "tzdata"],
)  # fmt: skip
def test_garbage_for_a_zone_is_the_default(name):
    assert zone_of(name, BERLIN) is BERLIN


def test_a_good_zone_is_taken():
    assert zone_of(" America/New_York ", BERLIN).key == "America/New_York"


@given(st.text())
def test_no_text_for_a_zone_raises(name):
    assert isinstance(zone_of(name, BERLIN), ZoneInfo)
