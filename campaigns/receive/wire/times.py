"""Clients' times: lax notations, wrong clocks, dates that cannot be."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

ABSURD_DATE: Final = "absurd-date"
UNREADABLE_DATE: Final = "unreadable-date"

# A clock that was never set says 1970 or 2000-01-01 minus a zone.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
# A correction may end a little in the future; more than this is no clock skew.
FUTURE_SLACK: Final = timedelta(days=1)
# Numbers from here on are milliseconds since 1970, smaller ones are seconds.
FIRST_MILLISECONDS: Final = 1e11

_LAX = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[Tt ]+(?P<hour>\d{1,2}):(?P<minute>\d{1,2})"
    r"(?::(?P<second>\d{1,2})(?:[.,](?P<fraction>\d{1,30}))?)?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d{1,2}(?::?\d{2})?)?",
    re.ASCII,
)
_ZONE = re.compile(r"(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?", re.ASCII)
_MAX_CHARS: Final = 64


def parse_time(value: object) -> datetime | None:
    """Return the aware time that `value` says, or None if it says none.

    Takes ISO 8601 with or without padding, fractions of any length, offsets,
    and seconds or milliseconds since 1970; a time without a zone is UTC.
    """
    try:
        match value:
            case bool():
                return None
            case int() | float():
                seconds = (
                    value / 1000 if abs(value) >= FIRST_MILLISECONDS else float(value)
                )
                return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
            case str() if len(value) <= _MAX_CHARS:
                return _parse_text(value.strip())
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def happened_at(
    timestamp: object, sent_at: object, received_at: datetime
) -> tuple[datetime, tuple[str, ...]]:
    """Return when the event happened by our clock, and what was mended.

    `received_at - (sent_at - timestamp)`: the client's clock is only trusted
    for the time between the event and its sending. Never after `received_at`;
    a date that cannot be (before 1990, days ahead) becomes `received_at`.
    """
    if timestamp is None:
        return received_at, ()
    said = parse_time(timestamp)
    if said is None:
        return received_at, (UNREADABLE_DATE,)
    sent = parse_time(sent_at)
    try:
        at = said if sent is None else received_at - (sent - said)
        at = at.astimezone(UTC)
    except OverflowError:
        return received_at, (ABSURD_DATE,)
    if at < EARLIEST or at - FUTURE_SLACK > received_at:
        return received_at, (ABSURD_DATE,)
    return min(at, received_at), ()


def _parse_text(text: str) -> datetime | None:
    found = _LAX.fullmatch(text)
    if not found:
        return None
    part = found.groupdict(default="0")
    return datetime(
        int(part["year"]),
        int(part["month"]),
        int(part["day"]),
        int(part["hour"]),
        int(part["minute"]),
        # Datetime has no leap second; the last one of the minute is near enough.
        min(int(part["second"]), 59) if int(part["second"]) <= 60 else 60,
        int(part["fraction"][:6].ljust(6, "0")),
        tzinfo=_parse_zone(found["zone"]),
    )


def _parse_zone(text: str | None) -> timezone:
    found = _ZONE.fullmatch(text or "")
    if not found:
        return UTC
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)
