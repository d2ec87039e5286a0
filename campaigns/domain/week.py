"""Send windows and quiet hours as the open minutes of a local week."""

from functools import lru_cache
from typing import Final

from campaigns.domain.document_parts import Quiet, Window

DAY: Final = 1440
WEEK: Final = 7 * DAY
Interval = tuple[int, int]


def minute_of_day(text: str) -> int:
    """Return the minute that "HH:MM" names, 0 to 1440."""
    return int(text[:2]) * 60 + int(text[3:])


@lru_cache(maxsize=4096)
def open_intervals(window: Window | None, quiet: Quiet | None) -> tuple[Interval, ...]:
    """Return when mail may leave: minutes since Monday 00:00, half open, sorted.

    Touching intervals are joined; none crosses the week's end. Empty if the
    quiet hours cover the window.
    """
    days = window.weekdays if window else tuple(range(7))
    times = (window.start, window.end) if window else ("00:00", "24:00")
    free = _joined(_weekly(days, *times))
    if quiet is None:
        return free
    silent = _joined(_weekly(tuple(range(7)), quiet.start, quiet.end))
    return tuple(piece for span in free for piece in _without(span, silent))


def _weekly(days: tuple[int, ...], start: str, end: str) -> list[Interval]:
    first, last = minute_of_day(start), minute_of_day(end)
    if last < first:
        last += DAY
    found: list[Interval] = []
    for day in days:
        low, high = day * DAY + first, day * DAY + last
        found.append((low, min(high, WEEK)))
        if high > WEEK:
            found.append((0, high - WEEK))
    return found


def _joined(spans: list[Interval]) -> tuple[Interval, ...]:
    joined: list[Interval] = []
    for low, high in sorted(span for span in spans if span[0] < span[1]):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _without(span: Interval, holes: tuple[Interval, ...]) -> list[Interval]:
    low, high = span
    left: list[Interval] = []
    for start, end in holes:
        if end <= low or start >= high:
            continue
        if start > low:
            left.append((low, start))
        low = end
    if low < high:
        left.append((low, high))
    return left
