"""Group commit without a timer: what comes during one commit is in the next one.

A lane is one thread with a database connection of its own. While it commits,
requests queue; its next transaction takes them all, and each is answered once that
is durable. A commit, its round trips and a busy customer's lock so cost a group what
they would cost each request, and nobody waits for others to come.
"""

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from django.db import connection

from campaigns.deciding.database import DatabaseAway
from campaigns.deciding.outage import AWAY
from campaigns.ingest.record import Batch, Recorded, record_all

logger = logging.getLogger(__name__)

GROUP_EVENTS: Final = 500
# What is a group by itself gains nothing here, and would hold the others up.
ALONE_EVENTS: Final = 50
MOST_WAITING: Final = 2_000  # requests


class LaneFull(Exception):
    """Too many requests wait already; this one was not taken. Try again soon."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: Batch
    recorded: Future[Recorded] = field(default_factory=Future)


# None ends the thread, once all before it is answered.
_Line = SimpleQueue[_Waiting | None]


class Lane:
    """Records what many requests bring in as few transactions as that takes.

    Thread-safe; the thread starts with the first request, anew after a fork.
    """

    def __init__(self, *, most_waiting: int = MOST_WAITING) -> None:
        """Set how many requests may wait; nothing is started."""
        self._most_waiting = most_waiting
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the thread, which a forked child does not have."""
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._thread: threading.Thread | None = None

    def record(self, batch: Batch) -> Recorded:
        """Record a batch with what others bring meanwhile; durable when this returns.

        A big one goes straight, and so does one within a transaction of the
        caller's, which is then part of that. Raises as `record_all`; LaneFull.
        """
        if is_alone(batch) or connection.in_atomic_block:
            return record_all([batch])[0]
        return self.submit(batch).result()

    def submit(self, batch: Batch) -> Future[Recorded]:
        """Queue a batch; never blocks. Its result comes after the commit.

        Batches are recorded in the order in which they were submitted. The future
        raises what `record_all` raises for this batch alone. Raises LaneFull.
        """
        waiting = _Waiting(batch)
        with self._lock:
            if self._line is None:
                self._start()
            line = self._line
            assert line is not None  # noqa: S101 - just started
            if line.qsize() >= self._most_waiting:
                raise LaneFull
            line.put(waiting)
        return waiting.recorded

    def close(self, *, patience_s: float) -> bool:
        """Answer what was taken, then end the thread; False if that takes longer.

        What is submitted later starts another.
        """
        with self._lock:
            line, thread = self._line, self._thread
            self._line = self._thread = None
        if line is None or thread is None:
            return True
        line.put(None)
        thread.join(patience_s)
        return not thread.is_alive()

    def _start(self) -> None:
        self._line = SimpleQueue()
        self._thread = threading.Thread(
            target=_work, args=(self._line,), name="lane", daemon=True
        )
        self._thread.start()


def is_alone(batch: Batch) -> bool:
    """Return whether the batch is big enough for a transaction of its own."""
    return len(batch.events) + len(batch.rejected) >= ALONE_EVENTS


def _work(line: _Line) -> None:
    """Record group after group until the line ends."""
    try:
        while group := _next_group(line):
            # Those whose waiter was cancelled before are left out.
            taken = [w for w in group if w.recorded.set_running_or_notify_cancel()]
            if taken:
                _settle(taken)
    finally:
        connection.close()


def _next_group(line: _Line) -> list[_Waiting]:
    """Wait for one, and take what else is there; empty at the end of the line."""
    group: list[_Waiting] = []
    events = 0
    while events < GROUP_EVENTS:
        try:
            waiting = line.get(block=not group)
        except Empty:
            break
        if waiting is None:
            if group:
                line.put(None)  # the last: nothing is put after it
            break
        group.append(waiting)
        events += len(waiting.batch.events)
    return group


def _settle(group: Sequence[_Waiting]) -> None:
    """Record these and tell each what became of it; halved if some fault is in them."""
    try:
        results = _record([w.batch for w in group])
    except AWAY as away:
        for waiting in group:
            waiting.recorded.set_exception(DatabaseAway(str(away)))
    except Exception as error:  # noqa: BLE001 - it goes to whoever caused it
        if len(group) == 1:
            group[0].recorded.set_exception(error)
            return
        logger.warning("a group of %s is halved: %r", len(group), error)
        _settle(group[: len(group) // 2])
        _settle(group[len(group) // 2 :])
    else:
        for waiting, recorded in zip(group, results, strict=True):
            waiting.recorded.set_result(recorded)


def _record(batches: Sequence[Batch]) -> list[Recorded]:
    """Record in one transaction; once more if the connection had died unused."""
    was_open = connection.connection is not None
    try:
        return record_all(batches)
    except AWAY:
        connection.close()
        if not was_open:
            raise
        # The same events have the same ids, so nothing can be recorded twice.
        return record_all(batches)


LANE: Final = Lane()
os.register_at_fork(after_in_child=LANE.begin_anew)
