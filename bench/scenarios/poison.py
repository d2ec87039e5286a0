"""Batches of which one event cannot be taken: it is refused, and harms no other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from msgspec.json import encode
from msgspec.structs import replace

from bench.bench import Bench
from bench.feed import SEED, Feed
from bench.measure import Sample
from bench.options import Sizes
from bench.place import count, expect, rows
from bench.results import Ratio
from bench.world import ENTERS, Shop, add_people, add_rule, open_shop
from campaigns.deciding import clock
from campaigns.domain.events import IncomingEvent
from campaigns.ingest.record import Recorded, record
from campaigns.receive.wire import segment

BATCH: Final = 100
PEOPLE: Final = 10_000
SHARE: Final = 0.3
PART: Final = 4  # of the other scenarios' events: the database refuses slowly
CLEAN: Final = "none"
# Whose fault it is, and the code that it is refused with.
CODES: Final = {"unreadable": "missing_id", "unstorable": "refused_22P05"}
TITLES: Final = {
    "unreadable": "one of each refused as it is read",
    "unstorable": "one of each refused by the database",
}


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id=f"poison.{kind}",
            title=f"batches of {BATCH}, {title} / none",
            num=f"poison.{kind}",
            den=f"poison.{CLEAN}",
        )
        for kind, title in TITLES.items()
    ]


def run(bench: Bench) -> None:
    """Time bodies that are read and recorded, with and without a bad event in each."""
    people = min(bench.sizes.people, PEOPLE)
    with bench.places("poison") as (place,), place.here():
        shop = open_shop()
        add_rule(shop, "Cart", ENTERS)
        add_people(people)
        work = _Work(bench, shop, people)
        kinds = (CLEAN, *CODES)
        for kind in kinds:
            work.sample(kind)
        bench.interleaved(
            {f"poison.{kind}": partial(work.sample, kind) for kind in kinds}
        )
        work.check()


@dataclass(slots=True)
class _Request:
    """A body; what nothing in a body can be is put among its events once it is read."""

    body: bytes
    place: int
    unstorable: tuple[IncomingEvent, ...] = ()
    refused: list[tuple[str, str]] = field(default_factory=list)


class _Work:
    """Requests, and the message ids of what was refused, by code."""

    def __init__(self, bench: Bench, shop: Shop, people: int) -> None:
        self._bench = bench
        self._source = shop.source
        self._at = clock.now()
        self._feed = Feed("poison", people=people, at=self._at)
        self._random = Random(SEED)
        self._bad: dict[str, list[str]] = defaultdict(list)

    def sample(self, kind: str) -> Sample:
        """Read and record requests of one kind, and look at the answers."""
        n = max(1, self._bench.sizes.hundreds // PART // BATCH)
        requests = [self._request(kind) for _ in range(n)]
        told: list[Recorded] = []

        def work() -> int:
            told.extend(map(self._taken, requests))
            return n * BATCH

        sample = self._bench.meter.timed(work)
        for request, answer in zip(requests, told, strict=True):
            found = [(r.code, r.message_id) for r in answer.refused if r.detail]
            expect("refused", found, request.refused)
            expect("accepted", answer.accepted, BATCH - len(found))
        return sample

    def check(self) -> None:
        """Raise WrongResult unless the good are stored, and the bad kept with reasons."""
        bad = sorted(
            (code, name) for code, names in self._bad.items() for name in names
        )
        good = self._feed.made - len(bad)
        expect("events", count("event"), good)
        found = rows(
            "SELECT code, message_id FROM campaigns_rejectedevent WHERE detail <> ''"
        )
        expect("refused events", sorted(found), bad)
        for table in ("journey", "timer", "cooldown"):
            expect(f"{table} rows", count(table), self._feed.entering)

    def _taken(self, request: _Request) -> Recorded:
        parsed = segment.parse("batch", request.body, received_at=self._at)
        events = list(parsed.events)
        events[request.place : request.place] = request.unstorable
        return record(events, source=self._source, rejected=parsed.rejected)

    def _request(self, kind: str) -> _Request:
        place = self._random.randrange(BATCH)
        if kind == CLEAN:
            return _Request(_body(self._events(BATCH)), place)
        ((bad,),) = self._feed.batches(1, size=1, share=0.0)
        good = self._events(BATCH - 1)
        refused = [(CODES[kind], bad.message_id)]
        self._bad[CODES[kind]].append(bad.message_id)
        if kind == "unreadable":
            good.insert(place, replace(bad, user_id=None))
            return _Request(_body(good), place, refused=refused)
        nul = replace(bad, properties={"nul": "\0"})
        return _Request(_body(good), place, (nul,), refused)

    def _events(self, n: int) -> list[IncomingEvent]:
        return self._feed.batches(n, size=n, share=SHARE)[0]


def _body(events: Sequence[IncomingEvent]) -> bytes:
    return encode({"batch": [_item(event) for event in events]})


def _item(event: IncomingEvent) -> Mapping[str, object]:
    return {
        "type": event.type,
        "messageId": event.message_id,
        "userId": event.user_id,
        "event": event.name,
        "properties": event.properties,
        "context": event.context,
        "timestamp": event.occurred_at,
    }
