"""One process of a crew: `python -m bench.member`.

It reads a Task as JSON from its first input line and warms up; then, for each further
line, its threads record batches until the time is over, and it prints what they did.
"""

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import django

django.setup()

# Importable only now that Django is set up.
from bench.feed import Feed  # noqa: E402
from bench.world import KEY  # noqa: E402
from campaigns.deciding import clock  # noqa: E402
from campaigns.ingest.record import record  # noqa: E402
from campaigns.receive.auth import KEYS  # noqa: E402

BATCH: Final = 100
SHARE: Final = 0.3
THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one process records; `name` begins its message ids."""

    name: str
    people: int
    seconds: float


class _Member:
    """The work of one process."""

    def __init__(self, task: Task) -> None:
        source = KEYS.find(KEY)
        assert source is not None  # noqa: S101 - the bench has made it
        self._source = source
        now = clock.now()
        self._feeds = [
            Feed(f"{task.name}-{n}", people=task.people, at=now) for n in range(THREADS)
        ]
        self._lock = threading.Lock()
        self._latencies: list[float] = []
        self._events = 0
        # Threads stay, as their database connections do.
        self._until = 0.0
        self._start = threading.Barrier(THREADS + 1)
        self._finish = threading.Barrier(THREADS + 1)
        for feed in self._feeds:
            threading.Thread(target=self._work, args=(feed,), daemon=True).start()

    def round(self, seconds: float) -> dict[str, object]:
        """Record for that long; return what was done since the last round."""
        before = sum(f.entering for f in self._feeds)
        self._latencies, self._events = [], 0
        began = time.perf_counter()
        self._until = began + seconds
        self._start.wait()
        self._finish.wait()
        return {
            "events": self._events,
            "entering": sum(f.entering for f in self._feeds) - before,
            "seconds": time.perf_counter() - began,
            "latencies_ms": self._latencies,
        }

    def _work(self, feed: Feed) -> None:
        while True:
            self._start.wait()
            while time.perf_counter() < self._until:
                (events,) = feed.batches(BATCH, size=BATCH, share=SHARE)
                began = time.perf_counter()
                accepted = record(events, source=self._source).accepted
                took = (time.perf_counter() - began) * 1e3
                with self._lock:
                    self._latencies.append(took)
                    self._events += accepted
            self._finish.wait()


def main() -> None:
    """Be one member, until the input ends."""
    task = Task(**json.loads(sys.stdin.readline()))
    member = _Member(task)
    _print(member.round(min(task.seconds, 0.5)))
    while sys.stdin.readline():
        _print(member.round(task.seconds))


def _print(told: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
