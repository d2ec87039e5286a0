"""Processes that record batches without HTTP: as many as the web has workers."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from django.conf import settings

from bench.bench import Bench
from bench.measure import Sample
from bench.pipes import Child, child
from bench.place import Place, count, expect


class Crew:
    """The processes, from start to end of `with`."""

    def __init__(self, bench: Bench, place: Place, *, people: int) -> None:
        """Take where to record, and for how many customers."""
        self._bench = bench
        self._place = place
        self._people = people
        self._events = self._entering = 0
        self._stack = ExitStack()
        self._members: list[Child] = []

    def __enter__(self) -> "Crew":
        for number in range(settings.WEB_WORKERS):
            task = {
                "name": f"crew{number}",
                "people": self._people,
                "seconds": self._bench.sizes.load_s,
            }
            member = self._stack.enter_context(
                child("bench.member", DATABASE_URL=self._place.url)
            )
            self._members.append(member)
            member.say(task)
        for member in self._members:
            self._count(member.told())
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def sample(self) -> Sample:
        """Have all of them record, each with its threads, for the same time."""
        meter = self._bench.meter
        with meter.watching(*(member.pid for member in self._members)):
            before = meter.cpu()
            for member in self._members:
                member.say("go")
            told = [member.told() for member in self._members]
            used = meter.cpu() - before
        for each in told:
            self._count(each)
        return Sample(
            sum(t["events"] for t in told),
            max(t["seconds"] for t in told),
            replace(used, own=0.0),
            [v for t in told for v in t["latencies_ms"]],
        )

    def check(self) -> None:
        """Raise WrongResult unless the tables hold exactly what was recorded."""
        with self._place.here():
            expect("events", count("event"), self._events)
            expect("journeys", count("journey"), self._entering)

    def _count(self, told: Mapping[str, Any]) -> None:
        self._events += told["events"]
        self._entering += told["entering"]
