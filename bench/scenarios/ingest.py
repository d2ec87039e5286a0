"""The whole ingest transaction against inserts that decide nothing, in one process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.json import encode

from bench.bench import Bench
from bench.feed import Feed, total
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, expect, rows
from bench.results import Ratio
from bench.world import ENTERS, Shop, add_people, add_rule, open_shop
from campaigns.deciding import clock, database
from campaigns.deciding.database import Call, call
from campaigns.deciding.wire import statement
from campaigns.domain.events import IncomingEvent
from campaigns.ingest.arrivals import dedupe_key
from campaigns.ingest.record import record

SQL: Final = "../../bench/sql/"  # of statements that only the bench has
SHARES: Final = {0: 0.0, 30: 0.3}
TARGETS: Final = {(1, 30): 0.40, (100, 30): 0.24, (1000, 30): 0.28, (100, 0): 0.35}
BLIND_TARGET: Final = 0.5

Columns = dict[str, Any]


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    found = []
    for share in (30, 0):
        for size in (1, 100, 1000):
            target = 0.40 if (size, share) == (1000, 0) else TARGETS.get((size, share))
            name = f"ingest.{size}.{share}"
            found.append(
                Ratio(
                    id=f"{name}/bare",
                    title=f"ingest transaction / bare insert: batch {size}, {share} % entering",
                    num=name,
                    den=f"bare.{size}.{share}",
                    target=target,
                )
            )
    blind = [
        Ratio(
            id=f"ingest.{size}.30/blind",
            title=f"ingest transaction / blind insert of all its rows: batch {size}, 30 % entering",
            num=f"ingest.{size}.30",
            den=f"blind.{size}.30",
            target=BLIND_TARGET,
        )
        for size in (1, 100, 1000)
    ]
    return found + blind


def run(bench: Bench) -> None:
    """Time batches of 1, 100 and 1000, with nothing and 30 % entering."""
    sizes = bench.sizes
    amounts = {1: sizes.single, 100: sizes.hundreds, 1000: sizes.thousands}
    with bench.places("full", "bare", "blind") as (full, bare, blind):
        with full.here():
            shop = open_shop()
            add_rule(shop, "Cart", ENTERS)
            add_people(sizes.people)
        for place in (bare, blind):  # nothing there asks who somebody is
            with place.here():
                open_shop()
        with full.here():
            feed = Feed("ingest", people=sizes.people, at=clock.now())
        three = _Three(bench, feed, shop, full, bare, blind)
        for size, n in amounts.items():
            for percent, share in SHARES.items():
                three.size, three.share = size, share
                three.n = size
                three.warm_up()
                three.n = n
                bench.interleaved(
                    {
                        f"ingest.{size}.{percent}": three.full_side,
                        f"bare.{size}.{percent}": three.bare_side,
                    }
                    | ({f"blind.{size}.{percent}": three.blind_side} if share else {})
                )
                bench.say(f"batches of {size}, {percent} % entering")
        three.check()


@dataclass(slots=True)
class _Three:
    """The three sides, each with a database of its own that has equal indexes."""

    bench: Bench
    feed: Feed
    shop: Shop
    full: Place
    bare: Place
    blind: Place
    size: int = 1
    share: float = 0.0
    n: int = 1
    events: dict[str, int] = field(
        default_factory=lambda: {"full": 0, "bare": 0, "blind": 0}
    )
    _last: int = 0
    _bare_id: int = 0

    def warm_up(self) -> None:
        """Run each side once, so that plans are made and pages are in memory."""
        self.full_side()
        self.bare_side()
        self.blind_side()

    def full_side(self) -> Sample:
        """Record the events, as every door does."""
        with self.full.here():
            self._record(self._batches(self.size))
            ((self._last,),) = rows("SELECT coalesce(max(id), 0) FROM campaigns_event")
            batches = self._batches(self.n)
            sample = self.bench.meter.timed(lambda: self._record(batches))
            expect("events accepted", sample.n, total(batches))
        return sample

    def bare_side(self) -> Sample:
        """Insert as many events of the same kind, by the same statement, alone."""
        with self.bare.here():
            batches = self._batches(self.n, entering=False)
            return self.bench.meter.timed(lambda: self._insert(batches))

    def blind_side(self) -> Sample:
        """Insert all rows that the full side just wrote, a transaction a batch."""
        with self.full.here():
            written = _written(self._last, self.size, self.shop.source.id)
        with self.blind.here():

            def work() -> int:
                for calls, _ in written:
                    database.run_all(calls)
                return sum(n for _, n in written)

            sample = self.bench.meter.timed(work)
        self.events["blind"] += sample.n
        return sample

    def check(self) -> None:
        """Raise WrongResult unless the tables hold exactly what was acknowledged."""
        with self.full.here():
            expect("events", count("event"), self.events["full"])
            expect("journeys", count("journey"), self.feed.entering)
            expect("timers", count("timer"), self.feed.entering)
            expect("cooldowns", count("cooldown"), self.feed.entering)
            expect("dedupe keys", count("dedupe_0"), self.events["full"])
        with self.bare.here():
            expect("events of the bare insert", count("event"), self.events["bare"])
        with self.blind.here():
            expect("events of the blind insert", count("event"), self.events["blind"])

    def _batches(
        self, n: int, *, entering: bool = True
    ) -> Sequence[Sequence[IncomingEvent]]:
        before = self.feed.entering
        made = self.feed.batches(n, size=self.size, share=self.share)
        if not entering:  # nobody decides about these
            self.feed.entering = before
        return made

    def _record(self, batches: Sequence[Sequence[IncomingEvent]]) -> int:
        done = sum(record(b, source=self.shop.source).accepted for b in batches)
        self.events["full"] += done
        return done

    def _insert(self, batches: Sequence[Sequence[IncomingEvent]]) -> int:
        now, source = clock.now(), self.shop.source.id
        for batch in batches:
            ids = range(self._bare_id, self._bare_id + len(batch))
            self._bare_id += len(batch)
            database.run(
                "insert_events",
                now=now,
                id=ids,
                customer_id=[int((e.user_id or "u0")[1:]) for e in batch],
                source_id=[source] * len(batch),
                type=[str(e.type) for e in batch],
                name=[e.name for e in batch],
                message_id=[e.message_id for e in batch],
                occurred_at=[e.occurred_at for e in batch],
                properties=[encode(e.properties) for e in batch],
                context=[encode(e.context) for e in batch],
                **dict.fromkeys(("traits", "decisions", "notes"), [None] * len(batch)),
            )
        self.events["bare"] += total(batches)
        return total(batches)


def _written(last: int, size: int, source: int) -> list[tuple[list[Call], int]]:
    """Return what was written since that event, as blind inserts of `size` events."""
    now = clock.now()
    events = _read("insert_events", "event", "id > %s ORDER BY id", last)
    journeys = _by(
        "event_id", _read("insert_journeys", "journey", "event_id > %s", last)
    )
    found = "journey_id IN (SELECT id FROM campaigns_journey WHERE event_id > %s)"
    timers = _by("journey_id", _read(f"{SQL}insert_timers", "timer", found, last))
    keys = [e["message_id"] for e in events]
    cooldowns = _by(
        "key", _read(f"{SQL}insert_cooldowns", "cooldown", "key = ANY(%s)", keys)
    )
    batches = []
    for start in range(0, len(events), size):
        chunk = events[start : start + size]
        begun = [journeys[e["id"]] for e in chunk if e["id"] in journeys]
        calls = [
            call(
                f"{SQL}insert_keys",
                keys=[dedupe_key(source, e["message_id"]) for e in chunk],
            ),
            call("insert_events", now=now, **_columns(chunk)),
        ]
        if begun:
            due = [timers[j["id"]] for j in begun]
            cold = [cooldowns[e["message_id"]] for e in chunk if e["id"] in journeys]
            calls += [
                call("insert_journeys", **_columns(begun)),
                call(f"{SQL}insert_timers", **_columns(due)),
                call(f"{SQL}insert_cooldowns", **_columns(cold)),
                call(
                    "insert_counts",
                    now=now,
                    rule_id=[begun[0]["rule_id"]],
                    reason=["entered"],
                    count=[len(begun)],
                ),
            ]
        batches.append((calls, len(chunk)))
    return batches


def _read(name: str, table: str, where: str, value: object) -> list[dict[str, Any]]:
    """Return the columns that a statement inserts, of rows that are there."""
    names = [n for n in statement(name).names if n != "now"]
    query = f"SELECT {', '.join(names)} FROM campaigns_{table} WHERE {where}"  # noqa: S608
    return [dict(zip(names, row, strict=True)) for row in rows(query, value)]


def _by(name: str, found: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {row[name]: row for row in found}


def _columns(found: Sequence[dict[str, Any]]) -> Columns:
    return {name: [row[name] for row in found] for name in found[0]}
