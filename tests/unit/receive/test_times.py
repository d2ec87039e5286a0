"""When did it happen, if the client's clock or notation is odd?"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.receive.wire.times import EARLIEST, happened_at, parse_time

RECEIVED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00.5Z", datetime(2026, 11, 20, 10, 0, 0, 500000, UTC)),
        (
            "2026-11-20T10:00:00.123456789Z",
            datetime(2026, 11, 20, 10, 0, 0, 123456, UTC),
        ),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T10:00:00-0530", datetime(2026, 11, 20, 15, 30, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20 10:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2015-2-02T00:30:08.276Z", datetime(2015, 2, 2, 0, 30, 8, 276000, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (1795000000, datetime.fromtimestamp(1795000000, UTC)),
        (1795000000.5, datetime.fromtimestamp(1795000000.5, UTC)),
        (1795000000000, datetime.fromtimestamp(1795000000, UTC)),
    ],
)
def test_lax_notations_are_understood(said, meant):
    assert parse_time(said) == meant


@pytest.mark.parametrize(
    "said",
    ["", "yesterday", "2026-13-01", "2026-02-30T00:00Z", "2026-11-20T25:00Z", True,
     None, [], {}, 1e300, "2026-11-20T10:00:00+99:00", "2026-11-20T10:00:61Z", "9" * 999,
     "0000-01-01", "٢٠٢٦-11-20"],
)  # fmt: skip
def test_what_says_no_time_is_none(said):
    assert parse_time(said) is None


def test_a_clock_five_hours_ahead_is_corrected():
    at, notes = happened_at(
        "2026-11-21T16:50:00Z", "2026-11-21T17:00:00Z", received_at=RECEIVED
    )
    assert at == RECEIVED - timedelta(minutes=10)
    assert notes == ()


def test_a_clock_reset_to_1970_is_corrected():
    at, _ = happened_at("1970-01-01T00:00:10Z", "1970-01-01T00:00:40Z", RECEIVED)
    assert at == RECEIVED - timedelta(seconds=30)


def test_without_sent_at_the_timestamp_counts_and_without_both_the_receipt():
    said = "2026-11-01T00:00:00Z"
    assert happened_at(said, None, RECEIVED) == (parse_time(said), ())
    assert happened_at(None, "2026-11-01T00:00:00Z", RECEIVED) == (RECEIVED, ())


def test_a_moment_in_the_future_is_the_receipt():
    assert happened_at("2026-11-21T12:00:05Z", None, RECEIVED) == (RECEIVED, ())


@pytest.mark.parametrize(
    "said", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01", 0,
             "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)  # fmt: skip
def test_absurd_dates_become_the_receipt_and_are_noted(said):
    assert happened_at(said, None, RECEIVED) == (RECEIVED, ("absurd-date",))


def test_unreadable_dates_become_the_receipt_and_are_noted():
    assert happened_at("soon", None, RECEIVED) == (RECEIVED, ("unreadable-date",))


said_times = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes().map(datetime.isoformat)
    | st.from_regex(
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[Z+-]?[0-9]{0,4}"
    )
)


@given(said_times, said_times)
def test_whatever_is_said_the_moment_is_aware_and_within_bounds(timestamp, sent_at):
    at, _ = happened_at(timestamp, sent_at, RECEIVED)
    assert at.utcoffset() == timedelta(0)
    assert EARLIEST <= at <= RECEIVED
