"""When a mail may leave: delays, send windows and quiet hours in a person's zone.

Minutes and hours are elapsed time; days and weeks are calendar days in the
zone. A local time that a change of the clocks skips counts as the end of the
gap; one that comes twice counts as the first. Every result is aware, in UTC.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, reset_tzpath

from campaigns.domain.document_parts import Quiet, Window
from campaigns.domain.durations import CALENDAR_UNITS, Duration, elapsed
from campaigns.domain.week import WEEK, open_intervals

__all__ = [
    "WindowNeverOpens", "add", "due_at", "elapsed", "is_open", "next_open", "zone_of",
]  # fmt: skip

# The pinned tzdata package decides, not whatever the host has installed.
reset_tzpath(to=())

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_MAX_SEGMENTS: Final = 40
_MAX_ZONE_NAME: Final = 64


class WindowNeverOpens(ValueError):
    """The quiet hours leave nothing of the window; publishing refuses such rules."""


def due_at(
    base: datetime,
    delay: Duration,
    window: Window | None,
    quiet: Quiet | None,
    zone: ZoneInfo,
    *,
    speed: int = 1,
) -> datetime:
    """Return the first sendable moment at least `delay` after `base`.

    A `speed` above 1 divides the delay, whose days are then 24 hours; the
    window stays as it is. Raises WindowNeverOpens, ValueError for a naive base.
    """
    if speed > 1:
        moment = _utc(base) + elapsed(delay) / speed
    else:
        moment = add(base, delay, zone)
    return next_open(moment, window, quiet, zone)


def add(base: datetime, duration: Duration, zone: ZoneInfo) -> datetime:
    """Return `base` plus the duration, days and weeks being calendar days in `zone`."""
    moment = _utc(base)
    if not duration.amount or duration.unit not in CALENDAR_UNITS:
        return moment + elapsed(duration)
    local = moment.astimezone(zone).replace(tzinfo=None)
    return _resolve(local + elapsed(duration), zone)


def is_open(
    at: datetime, window: Window | None, quiet: Quiet | None, zone: ZoneInfo
) -> bool:
    """Say whether mail may leave at this moment."""
    if window is None and quiet is None:
        return True
    wall = _utc(at).astimezone(zone).replace(tzinfo=None)
    return _next_wall(wall, window, quiet) == wall


def next_open(
    at: datetime, window: Window | None, quiet: Quiet | None, zone: ZoneInfo
) -> datetime:
    """Return the first moment from `at` on at which mail may leave.

    Raises WindowNeverOpens if there is none, ValueError if `at` is naive.
    """
    moment = _utc(at)
    if window is None and quiet is None:
        return moment
    for _ in range(_MAX_SEGMENTS):
        # Between two changes of the clocks, local time is a straight line.
        offset = _offset(moment, zone)
        wall = moment.replace(tzinfo=None) + offset
        wait = _next_wall(wall, window, quiet) - wall
        change = _next_change(moment, moment + wait, zone)
        if change is None:
            return moment + wait
        moment = change
    raise WindowNeverOpens(f"nothing is open in {zone.key}")


def zone_of(name: object, default: ZoneInfo) -> ZoneInfo:
    """Return the zone of this IANA name, or the default if it is not one."""
    if not isinstance(name, str) or len(name) > _MAX_ZONE_NAME:
        return default
    return _zone(name.strip()) or default


@lru_cache(maxsize=2048)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None  # whatever a client may have said: "", "../x", "America"


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone was given")
    return moment.astimezone(UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _next_wall(wall: datetime, window: Window | None, quiet: Quiet | None) -> datetime:
    """Return the first open local time from `wall` on, as if clocks never changed."""
    spans = open_intervals(window, quiet)
    if not spans:
        raise WindowNeverOpens("the quiet hours leave nothing of the window")
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - wall.weekday() * _DAY
    passed = (wall - monday) / _MINUTE
    for low, high in spans:
        if passed < high:
            return max(wall, monday + low * _MINUTE)
    return monday + (WEEK + spans[0][0]) * _MINUTE


def _next_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the offset first changes in (after, until], or None.

    Looks once a day, so two changes that undo each other within one would be missed.
    """
    offset = _offset(after, zone)
    low = after
    while low < until:
        high = min(low + _DAY, until)
        if _offset(high, zone) != offset:
            return _change_between(low, high, zone)
        low = high
    return None


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the first whole second with another offset than `low` has."""
    offset = _offset(low, zone)
    low = low.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // (2 * _SECOND) * _SECOND
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return low + _SECOND


def _resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment that a local time names: gap, its end; overlap, the first."""
    first = wall.replace(tzinfo=zone, fold=0).utcoffset() or timedelta(0)
    second = wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta(0)
    aware = wall.replace(tzinfo=UTC)
    if second <= first:
        return aware - first
    # In a gap, fold 0 gives the offset before it and fold 1 the one after.
    return _change_between(aware - second, aware - first, zone)
