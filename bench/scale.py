"""`python -m bench.scale [ROWS]`: what docs/scale.md reckons with, as Markdown.

What a pooler costs an event (needs PgBouncer), what rows and their indexes weigh, and
how much log (WAL) an event writes. ROWS events, a million unless given.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.pooler import FEW, NoPooler, Pooler, beside
from bench.stage import Stage

if TYPE_CHECKING:
    from bench.measure import Sample
    from bench.place import Place

ROWS: Final = 1_000_000
REPEATS: Final = 3
AMOUNTS: Final = {1: 200, 100: 4_000}  # events of a timed part, by batch
ENTERING: Final = 0.3
ADVANCED: Final = 20_000
TABLES: Final = (
    "customer", "identity", "event", "dedupe_0", "journey", "timer", "cooldown",
    "message",
)  # fmt: skip


def main() -> int:
    """Print the tables; return the exit code."""
    rows = int(sys.argv[1]) if sys.argv[1:] else ROWS
    with Stage() as stage:
        import_module("django").setup()
        import_module("django.core.management").call_command("migrate", verbosity=0)
        import_module("django.db").connection.close()
        for line in chain(
            pooling(stage, people=rows // 10), [""], weighing(stage, rows)
        ):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


# --- a pooler -----------------------------------------------------------------


def pooling(stage: Stage, *, people: int) -> Iterator[str]:
    """Record the same events straight, unprepared, and through PgBouncer."""
    place = import_module("bench.place")
    connecting = import_module("emailtriggers.connecting")
    server = beside(stage.postgres)
    pooler = Pooler(stage.folder / "pooler", server, default_pool_size=FEW)
    try:
        pooler.start()
    except NoPooler as none:
        yield f"No figures of a pooler: {none}."
        return
    try:
        with place.places(stage, "pooled") as (here,):
            sides = {
                "straight": here,
                "not prepared by name": place.Place(stage, here.name),
                "through PgBouncer": place.Place(stage, here.name),
            }
            for name, side in sides.items():
                if side is not here:
                    side.options(connecting.pooled("bench"))
                if name == "through PgBouncer":
                    side.at("127.0.0.1", pooler.port)
            yield from _compared(stage, sides, pooler.pid, people)
            for side in sides.values():
                side.close()
    finally:
        pooler.stop()


def _compared(
    stage: Stage, sides: "dict[str, Place]", pid: int, people: int
) -> Iterator[str]:
    measure = import_module("bench.measure")
    feed, shop = _filled(next(iter(sides.values())), people)
    record = import_module("campaigns.ingest.record").record
    meter = measure.Meter(stage.pid)

    def work(batches: Sequence[Any]) -> int:
        return sum(record(b, source=shop.source).accepted for b in batches)

    yield "| batch | connection | events/s | CPU µs/event: ours | PostgreSQL | PgBouncer |"
    yield "|---|---|---|---|---|---|"
    for size, n in AMOUNTS.items():
        found: dict[str, list[Sample]] = {name: [] for name in sides}
        for repeat in range(REPEATS + 1):
            for name, side in sides.items():
                with side.here():
                    work(feed.batches(size, size=size, share=ENTERING))  # plans
                    batches = feed.batches(n, size=size, share=ENTERING)
                    with meter.watching(pid):
                        sample = meter.timed(lambda some=batches: work(some))
                if repeat:
                    found[name].append(sample)
        for name, samples in found.items():
            yield (
                f"| {size} | {name} | {_middle(samples, lambda s: s.rate):,.0f} "
                f"| {_middle(samples, lambda s: s.cpu.own / s.n * 1e6):.0f} "
                f"| {_middle(samples, lambda s: s.postgres_cpu_us):.0f} "
                f"| {_middle(samples, lambda s: s.cpu.servers / s.n * 1e6):.0f} |"
            )


def _middle(samples: "Sequence[Sample]", of: "Callable[[Sample], float]") -> float:
    return median(map(of, samples))


def _filled(where: "Place", people: int) -> tuple[Any, Any]:
    world, feed = import_module("bench.world"), import_module("bench.feed")
    clock = import_module("campaigns.deciding.clock")
    with where.here():
        shop = world.open_shop()
        world.add_rule(shop, "Cart", world.ENTERS)
        world.add_people(people)
        return feed.Feed("scale", people=people, at=clock.now()), shop


# --- rows ---------------------------------------------------------------------


def weighing(stage: Stage, rows: int) -> Iterator[str]:
    """Record events, plan some mails, and weigh what is there then."""
    place = import_module("bench.place")
    record = import_module("campaigns.ingest.record").record
    with place.places(stage, "weighed") as (here,):
        feed, shop = _filled(here, rows)
        with here.here():
            logged = {}
            for size, n in ((1, 2_000), (100, 50_000), (1000, rows)):
                before = _log()
                for _ in range(n // size):
                    (batch,) = feed.batches(size, size=size, share=ENTERING)
                    record(batch, source=shop.source)
                logged[size] = (_log() - before) / n
            _advance()
            place.execute("VACUUM ANALYZE")
            yield "| table | rows | bytes a row: table | indexes | each index |"
            yield "|---|---|---|---|---|"
            for table in TABLES:
                yield _weighed(table)
    yield ""
    for size, each in logged.items():
        yield f"Log in batches of {size}: {each:,.0f} bytes an event."


def _log() -> int:
    place = import_module("bench.place")
    ((at,),) = place.rows("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(at)


def _advance() -> None:
    """Have some journeys' time come, and their mails planned."""
    place = import_module("bench.place")
    advance = import_module("campaigns.journeys.advance").advance_due
    place.execute(
        "UPDATE campaigns_timer SET due_at = now() - interval '1 minute' WHERE"
        " journey_id IN (SELECT journey_id FROM campaigns_timer LIMIT %s)",
        ADVANCED,
    )
    while advance():
        pass


def _weighed(table: str) -> str:
    place = import_module("bench.place")
    ((count,),) = place.rows(f"SELECT count(*) FROM campaigns_{table}")  # noqa: S608
    parts = place.rows(
        "SELECT c.oid::bigint, c.relname FROM pg_partition_tree(%s::regclass) t"
        " JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf",
        f"campaigns_{table}",
    ) or [(None, f"campaigns_{table}")]
    names = [name for _, name in parts]
    heap = sum(place.rows("SELECT pg_table_size(%s::regclass)", n)[0][0] for n in names)
    indexes = place.rows(
        "SELECT regexp_replace(pg_get_indexdef(indexrelid),"
        " '^.* USING (\\w+) (.*)$', '\\1 \\2'), sum(pg_relation_size(indexrelid))"
        " FROM pg_index WHERE indrelid::regclass::text = ANY(%s) GROUP BY 1 ORDER BY 2 DESC",
        names,
    )
    each = ", ".join(f"{float(size) / count:.0f} `{what}`" for what, size in indexes)
    whole = sum(float(size) for _, size in indexes)
    return (
        f"| {table} | {count:,} | {heap / count:.0f} | {whole / count:.0f} | {each} |"
    )


if __name__ == "__main__":
    os.environ.setdefault("PROCESS_NAME", "bench")
    sys.exit(main())
