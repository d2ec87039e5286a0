"""The monthly partitions of the event table."""

import logging
from datetime import UTC, datetime
from typing import Final

from django.db import OperationalError, connection, transaction
from psycopg import sql

from campaigns.deciding.database import sqlstate

logger = logging.getLogger(__name__)

PARTITION_LOCK: Final = 7_301_002
AHEAD_MONTHS: Final = 3
DROP_LOCK_MS: Final = 100
LOCK_NOT_AVAILABLE: Final = "55P03"

_known: set[tuple[int, int]] = set()


class Missing(Exception):
    """There is no partition for this month yet."""

    def __init__(self, month: datetime) -> None:
        super().__init__(f"{month:%Y-%m}")
        self.month = month


def require(now: datetime) -> None:
    """Raise Missing unless events received now have a partition to go to."""
    if (now.year, now.month) not in _known and not exists(now):
        raise Missing(now)


def exists(at: datetime) -> bool:
    """Return whether that month's partition exists."""
    with connection.cursor() as cursor:
        # Not to_regclass, whose cache may not know what another has just created.
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = %s"
            " AND c.relispartition AND pg_table_is_visible(c.oid))",
            [_name(at)],
        )
        (found,) = cursor.fetchone()
    if found:
        _known.add((at.year, at.month))
    return bool(found)


def create(at: datetime) -> None:
    """Create the partition of that month, whoever else is creating it.

    Made apart and then attached, which waits neither for readers nor for
    writers: PARTITION OF would wait for a backup, and every event behind it.
    """
    start = month_of(at)
    name = sql.Identifier(_name(at))
    made = sql.SQL("CREATE TABLE {name} (LIKE campaigns_event INCLUDING ALL)")
    attached = sql.SQL(
        "ALTER TABLE campaigns_event ATTACH PARTITION {name} "
        "FOR VALUES FROM ({start}) TO ({end})"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        if exists(at):
            return
        cursor.execute(made.format(name=name))
        cursor.execute(
            attached.format(
                name=name,
                start=sql.Literal(start.isoformat()),
                end=sql.Literal(next_month(start).isoformat()),
            )
        )


def create_ahead(now: datetime) -> None:
    """Create the partitions of this month and of the next few."""
    month = month_of(now)
    for _ in range(AHEAD_MONTHS + 1):
        if not exists(month):
            create(month)
        month = next_month(month)


def drop_before(at: datetime) -> list[str]:
    """Drop partitions that end before that month; return the names of the dropped.

    One that somebody reads (a backup, a report) stays until the next time: behind
    a drop that waits, every event would wait, too.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'campaigns_event'::regclass AND c.relname < %s",
            [_name(at)],
        )
        names = [name for (name,) in cursor.fetchall()]
    dropped = [name for name in names if _drop(name)]
    forget()
    return dropped


def _drop(name: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MS}")
            statement = sql.SQL("DROP TABLE IF EXISTS {}")
            cursor.execute(statement.format(sql.Identifier(name)))
    except OperationalError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        logger.info("%s is in use; it is dropped another time", name)
        return False
    return True


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
