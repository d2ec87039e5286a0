"""Whether ingest slows down with what is stored, and with how many rules are active."""

from bench.bench import Bench
from bench.feed import Feed, total
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, execute, expect
from bench.results import Ratio
from bench.world import (
    ENTERS,
    PASSES,
    Shop,
    add_copies,
    add_people,
    add_rule,
    open_shop,
)
from campaigns.deciding import clock
from campaigns.domain.events import IncomingEvent
from campaigns.ingest.record import record

SIZE = 100
SHARE = 0.3
FEW_PEOPLE = 10_000
FEW_RULES = 10
RULES_A_NAME = 2
STORED = """
    INSERT INTO campaigns_event (
      id, customer_id, source_id, type, name, message_id, occurred_at, received_at,
      properties, context)
    SELECT g, 1 + g %% %s, 1, 'track', %s, 'stored-' || g, t.at, t.at,
           '{"sku": "A-1", "price": 12.5, "title": "A fine thing"}',
           '{"ip": "192.0.2.4", "page": {"url": "https://shop.example/"}}'
    FROM generate_series(1, %s) g,
         LATERAL (SELECT greatest(date_trunc('month', now()),
                                  now() - g * interval '0.4 s') AS at) t
"""
KEYS = """
    INSERT INTO campaigns_dedupe_0 (k)
    SELECT md5('stored-' || g)::uuid FROM generate_series(1, %s) g
"""


def stored_ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="stored",
            title=f"ingest, batch {SIZE}: {sizes.stored_events:,} events and "
            f"{sizes.stored_people:,} customers stored / none and {_few(sizes):,}",
            num="stored.many",
            den="stored.none",
            target=0.8,
        )
    ]


def run_stored(bench: Bench) -> None:
    """Time batches where much is stored, and where nothing is."""
    sizes = bench.sizes
    with bench.places("many", "none") as (many, none):
        sides = []
        for place, people in ((many, sizes.stored_people), (none, _few(sizes))):
            with place.here():
                shop = open_shop()
                add_rule(shop, "Cart", ENTERS)
                add_people(people)
                if place is many:
                    _store(sizes.stored_events, people)
                    bench.say(f"{sizes.stored_events:,} events stored")
                sides.append(_Side(bench, place, shop, people=people))
        bench.interleaved(
            {"stored.many": sides[0].sample, "stored.none": sides[1].sample}
        )
        sides[0].check(before=sizes.stored_events)
        sides[1].check()


def _few(sizes: Sizes) -> int:
    """Return how many customers there are where little is stored."""
    return min(FEW_PEOPLE, sizes.stored_people)


def rules_ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="rules",
            title=f"cost of an event, batch {SIZE}: {sizes.rules:,} active rules / {FEW_RULES}",
            num="rules.many",
            den="rules.few",
            by="cost",
            target=1.3,
        )
    ]


def run_rules(bench: Bench) -> None:
    """Time batches with many active rules, and with ten; two wait for each name."""
    people = min(bench.sizes.people, FEW_PEOPLE)
    with bench.places("many", "few") as (many, few):
        sides = []
        for place, rules in ((many, bench.sizes.rules), (few, FEW_RULES)):
            with place.here():
                shop = open_shop()
                rule = add_rule(shop, "Cart", "Never")
                add_copies(rule, rules, names=rules // RULES_A_NAME)
                add_people(people)
                names = rules // RULES_A_NAME
                sides.append(_Side(bench, place, shop, people=people, names=names))
        bench.interleaved({"rules.many": sides[0].sample, "rules.few": sides[1].sample})
        for side in sides:
            side.check(journeys_each=RULES_A_NAME)


def _store(events: int, people: int) -> None:
    execute(STORED, people, PASSES, events)
    execute(KEYS, events)
    execute("VACUUM ANALYZE campaigns_event, campaigns_dedupe_0")
    execute("CHECKPOINT")


class _Side:
    """Batches of a hundred events, recorded in one place."""

    def __init__(
        self, bench: Bench, place: Place, shop: Shop, *, people: int, names: int = 0
    ) -> None:
        self._bench = bench
        self._place = place
        self._source = shop.source
        self._names = names
        self._feed = Feed("grow", people=people, at=clock.now())

    def sample(self) -> Sample:
        """Time one part, after a batch that compiles the rules and plans the SQL."""
        n = self._bench.sizes.hundreds
        with self._place.here():
            self._record(SIZE)
            batches = self._batches(n)
            sample = self._bench.meter.timed(
                lambda: sum(record(b, source=self._source).accepted for b in batches)
            )
            expect("events accepted", sample.n, total(batches))
        return sample

    def check(self, *, before: int = 0, journeys_each: int = 1) -> None:
        """Raise WrongResult unless the tables hold what was acknowledged."""
        with self._place.here():
            expect("events", count("event"), before + self._feed.made)
            wanted = journeys_each * self._feed.entering
            expect("journeys", count("journey"), wanted)
            expect("timers", count("timer"), wanted)

    def _record(self, n: int) -> None:
        for batch in self._batches(n):
            record(batch, source=self._source)

    def _batches(self, n: int) -> list[list[IncomingEvent]]:
        return self._feed.batches(n, size=SIZE, share=SHARE, names=self._names)
