"""The one clock. Production asks the database; tests set the time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

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
        connection.ensure_connection()  # which may take long
        asked = steady_s()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (now,) = cursor.fetchone()
        assert isinstance(now, datetime)  # noqa: S101 - the column's type says so
        _reckoning.note(now, asked)
        return now


def steady_s() -> float:
    """Return seconds since the boot, sleep included where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Reckoning:
    """The database's time between its answers, by this host's steady clock.

    An answer is some of its way old when it is read, so what is reckoned lies
    behind the truth by the shortest such delay of the last WINDOW_S to twice that,
    and is never ahead of it unless the database's clock was put back. What took
    longer than BELIEVED_S from the question on says nothing: this process may have
    been stopped before it read it. Races lose a reading, no more.
    """

    WINDOW_S: Final = 1.0
    BELIEVED_S: Final = 0.1

    def __init__(self, steady_s: Callable[[], float] = steady_s) -> None:
        """Know nothing yet; `steady_s` is a clock that nobody sets."""
        self._steady_s = steady_s
        # When this window began, and how far the database's clock is ahead of the
        # steady one, as seen in the window before and in this one.
        self._seen = (float("-inf"), float("-inf"), float("-inf"))

    def note(self, told: datetime, asked: float) -> None:
        """Take what the database's clock said just now; `asked` is the time before."""
        at = self._steady_s()
        if at - asked > self.BELIEVED_S:
            return
        ahead = told.timestamp() - at
        began, before, here = self._seen
        if at < began + self.WINDOW_S:
            self._seen = (began, before, max(here, ahead))
        elif at < began + 2 * self.WINDOW_S:
            self._seen = (at, here, ahead)
        else:
            self._seen = (at, float("-inf"), ahead)

    def now(self) -> datetime | None:
        """Return the database's time, None if it said nothing lately."""
        at = self._steady_s()
        began, before, here = self._seen
        if at >= began + 2 * self.WINDOW_S:
            return None
        return datetime.fromtimestamp(at + max(before, here), UTC)


_reckoning: Final = Reckoning()
_clock: Clock = DatabaseClock()


def now(told: datetime | None = None) -> datetime:
    """Return the present time of the clock in use.

    `told` is what the database's clock_timestamp() just said, if it was asked along
    with something else.
    """
    if told is not None and isinstance(_clock, DatabaseClock):
        return told
    return _clock.now()


def heard(told: datetime, *, asked: float) -> None:
    """Note for `reckoned` what the database just said; `asked` is steady_s() before."""
    _reckoning.note(told, asked)


def reckoned() -> datetime | None:
    """Return the time without asking anybody, None if nobody said it lately.

    For when something was received, which clients say no better; decisions ask.
    """
    if isinstance(_clock, DatabaseClock):
        return _reckoning.now()
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
