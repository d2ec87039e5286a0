"""The one clock. Production asks the database; tests set the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from django.db import connection


class Clock(Protocol):
    """Tells the time, aware and in UTC."""

    def now(self) -> datetime:
        """Return the present time."""
        ...


class DatabaseClock:
    """The database's wall clock, the same for every host."""

    def now(self) -> datetime:
        """Return clock_timestamp(), which moves within a transaction."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (now,) = cursor.fetchone()
        assert isinstance(now, datetime)  # noqa: S101 - the column's type says so
        return now


_clock: Clock = DatabaseClock()


def now(told: datetime | None = None) -> datetime:
    """Return the present time of the clock in use.

    `told` is what the database's clock_timestamp() just said, if it was asked along
    with something else.
    """
    if told is not None and isinstance(_clock, DatabaseClock):
        return told
    return _clock.now()


@contextmanager
def use(clock: Clock) -> Iterator[None]:
    """Use another clock in this process, for tests."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
