"""Threads with connections of their own, places where they stop, and who waits."""

import threading
import time
from collections.abc import Callable

from django.db import connection

WAIT_S = 20.0


class Actor(threading.Thread):
    """Does `work` on its own connection; `result` waits for it and raises its error."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._value: object = None
        self._error: BaseException | None = None
        self._connected = threading.Event()
        self._pid = 0

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._pid = cursor.fetchone()[0]
            self._connected.set()
            self._value = self._work()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()

    def begin(self) -> "Actor":
        self.start()
        assert self._connected.wait(WAIT_S), f"{self.name} has no connection"
        return self

    @property
    def pid(self) -> int:
        return self._pid

    def result(self):
        self.join(WAIT_S)
        assert not self.is_alive(), f"{self.name} hangs"
        if self._error is not None:
            raise self._error
        return self._value


class Stop:
    """A place in the code where the thread of one name stops until it may go on."""

    def __init__(self, thread: str) -> None:
        self._thread = thread
        self._reached = threading.Event()
        self._go = threading.Event()

    def before(self, original):
        """Return `original`, with the stop before it."""

        def through(*args, **kwargs):
            if threading.current_thread().name == self._thread:
                self._reached.set()
                assert self._go.wait(WAIT_S), "nobody said go"
            return original(*args, **kwargs)

        return through

    def reached(self) -> None:
        assert self._reached.wait(WAIT_S), f"{self._thread} never came here"

    def go(self) -> None:
        self._go.set()


def waits_for(waiter: Actor, holder: Actor) -> None:
    """Return once PostgreSQL says that `waiter` waits for a lock of `holder`."""
    end = time.monotonic() + WAIT_S
    pause = threading.Event()
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted)"
                " AND %s = ANY(pg_blocking_pids(%s))",
                [waiter.pid, holder.pid, waiter.pid],
            )
            if cursor.fetchone()[0]:
                return
        pause.wait(0.01)
    raise AssertionError(f"{waiter.name} never waited for {holder.name}")


def at_once(*works: Callable[[], object]) -> list:
    """Do all of these at the same moment, each in a thread; return their results."""
    barrier = threading.Barrier(len(works))

    def started(work):
        def run():
            barrier.wait(WAIT_S)
            return work()

        return run

    actors = [Actor(f"actor {n}", started(w)) for n, w in enumerate(works)]
    for actor in actors:
        actor.start()
    return [actor.result() for actor in actors]
