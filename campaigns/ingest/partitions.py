"""The monthly partitions of the event table."""

from datetime import UTC, datetime
from typing import Final

from django.db import connection, transaction
from psycopg import sql

PARTITION_LOCK: Final = 7_301_002
AHEAD_MONTHS: Final = 3

_known: set[tuple[int, int]] = set()


class Missing(Exception):
    """There is no partition for this month yet."""

    def __init__(self, month: datetime) -> None:
        super().__init__(f"{month:%Y-%m}")
        self.month = month


def require(now: datetime) -> None:
    """Raise Missing unless events received now have a partition to go to."""
    if (now.year, now.month) not in _known and not _exists(now):
        raise Missing(now)


def _exists(at: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [_name(at)])
        (found,) = cursor.fetchone()
    if found is not None:
        _known.add((at.year, at.month))
    return found is not None


def create(at: datetime) -> None:
    """Create the partition of that month, whoever else is creating it."""
    start = month_of(at)
    statement = sql.SQL(
        "CREATE TABLE IF NOT EXISTS {name} PARTITION OF campaigns_event "
        "FOR VALUES FROM ({start}) TO ({end})"
    ).format(
        name=sql.Identifier(_name(at)),
        start=sql.Literal(start.isoformat()),
        end=sql.Literal(next_month(start).isoformat()),
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        cursor.execute(statement)


def create_ahead(now: datetime) -> None:
    """Create the partitions of this month and of the next few."""
    month = month_of(now)
    for _ in range(AHEAD_MONTHS + 1):
        if not _exists(month):
            create(month)
        month = next_month(month)


def drop_before(at: datetime) -> list[str]:
    """Drop partitions that end before that month; return their names."""
    oldest = _name(at)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'campaigns_event'::regclass AND c.relname < %s",
            [oldest],
        )
        names = [name for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    forget()
    return names


def forget() -> None:
    """Look again which partitions exist; for tests and after a drop."""
    _known.clear()


def month_of(at: datetime) -> datetime:
    """Return the first instant of the month, in UTC."""
    day = at.astimezone(UTC)
    return datetime(day.year, day.month, 1, tzinfo=UTC)


def next_month(start: datetime) -> datetime:
    """Return the first instant of the month after."""
    year, month = divmod(start.year * 12 + start.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def _name(at: datetime) -> str:
    return f"campaigns_event_{month_of(at):%Y_%m}"
