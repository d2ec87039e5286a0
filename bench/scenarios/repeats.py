"""Batches of which some events came before: each counts once, and what that costs."""

from collections import deque
from functools import partial
from random import Random
from typing import Final

from bench.bench import Bench
from bench.feed import SEED, Feed, total
from bench.measure import Sample
from bench.options import Sizes
from bench.place import count, expect, rows
from bench.results import Ratio
from bench.world import ENTERS, Shop, add_people, add_rule, open_shop
from campaigns.deciding import clock
from campaigns.domain.events import IncomingEvent
from campaigns.ingest.record import Recorded, record

BATCH: Final = 100
PEOPLE: Final = 10_000
SHARE: Final = 0.3
NONE, HALF, ALL = PERCENTS = (0, 50, 100)  # of a batch, that came before
RECENT: Final = 5_000  # events that may come again: a retry follows soon
# Whatever an event could add to or change.
TABLES: Final = (
    "customer", "identity", "event", "dedupe_0", "dedupe_1", "journey", "timer",
    "cooldown", "message", "decisioncount", "rejectedevent",
)  # fmt: skip


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id=f"dup.{percent}",
            title=f"batches of {BATCH}, {percent} % repeats / no repeats",
            num=f"dup.{percent}",
            den=f"dup.{NONE}",
        )
        for percent in (HALF, ALL)
    ]


def run(bench: Bench) -> None:
    """Time batches without, with half and with nothing but repeats; a piece is an event."""
    people = min(bench.sizes.people, PEOPLE)
    with bench.places("dup") as (place,), place.here():
        shop = open_shop()
        add_rule(shop, "Cart", ENTERS)
        add_people(people)
        work = _Work(bench, shop, people)
        for percent in PERCENTS:
            work.sample(percent)
        bench.interleaved(
            {f"dup.{percent}": partial(work.sample, percent) for percent in PERCENTS}
        )
        work.check()


class _Work:
    """New events, and those of them that come again."""

    def __init__(self, bench: Bench, shop: Shop, people: int) -> None:
        self._bench = bench
        self._source = shop.source
        self._feed = Feed("dup", people=people, at=clock.now())
        self._recent: deque[IncomingEvent] = deque(maxlen=RECENT)
        self._random = Random(SEED)

    def sample(self, percent: int) -> Sample:
        """Record batches of which so many percent come again, and look at the answers."""
        n = max(1, self._bench.sizes.hundreds // BATCH)
        batches = [self._batch(percent) for _ in range(n)]
        before = _contents()
        told: list[Recorded] = []

        def work() -> int:
            told.extend(record(batch, source=self._source) for batch in batches)
            return total(batches)

        sample = self._bench.meter.timed(work)
        again = BATCH * percent // 100
        answer = Recorded(accepted=BATCH - again, duplicates=again)
        expect("answers", [each for each in told if each != answer], [])
        if percent == ALL:
            for table, content in _contents().items():
                expect(f"{table} after repeats alone", content, before[table])
        return sample

    def check(self) -> None:
        """Raise WrongResult unless each event was counted once."""
        once = self._feed.made
        expect("events", count("event"), once)
        ((ids,),) = rows("SELECT count(DISTINCT message_id) FROM campaigns_event")
        expect("message ids", ids, once)
        expect("dedupe keys", count("dedupe_0"), once)
        for table in ("journey", "timer", "cooldown"):
            expect(f"{table} rows", count(table), self._feed.entering)

    def _batch(self, percent: int) -> list[IncomingEvent]:
        """Return new events mixed with repeats, some of them of this very batch."""
        again = BATCH * percent // 100
        fresh = self._fresh(BATCH - again)
        self._recent.extend(fresh)
        mixed = fresh + self._random.choices(self._recent, k=again)
        self._random.shuffle(mixed)
        return mixed

    def _fresh(self, n: int) -> list[IncomingEvent]:
        return self._feed.batches(n, size=n, share=SHARE)[0] if n else []


def _contents() -> dict[str, object]:
    """Return how many rows each table has, and a sum over all that they say."""
    return {
        table: rows(
            "SELECT count(*), sum(hashtextextended(t::text, 0))"  # noqa: S608
            f" FROM campaigns_{table} t"
        )
        for table in TABLES
    }
