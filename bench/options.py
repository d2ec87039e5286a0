"""What one run is asked to do, and how large its scenarios are."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "results"
WHOLE: Final = FOLDER / "latest.json"
PART: Final = FOLDER / "part.json"  # of a run that leaves scenarios or rows out
HISTORY: Final = Path(__file__).parents[1] / "docs" / "performance.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much each scenario does; rows unless the name says another unit."""

    name: str
    repeat: int
    people: int  # customers of the ingest scenarios
    single: int  # events of one timed part, one event a transaction
    hundreds: int  # the same, a hundred events a transaction
    thousands: int
    load_s: float  # of one timed part over HTTP
    connections: int
    stored_events: int
    stored_people: int
    rules: int
    waiting: int  # timers, or mails, that are not due
    due: int  # timers of one timed part
    due_s: float
    due_per_s: int
    mails: int  # sends of one timed part
    slow_mails: int  # sends of one timed part with a slow provider
    tls_mails: int
    webhooks: int  # batches of a hundred events
    tasks: int  # django-q2 tasks of one timed part
    memory_s: float


QUICK: Final = Sizes(
    name="quick", repeat=3, people=100_000, single=300, hundreds=3_000,
    thousands=4_000, load_s=1.0, connections=64, stored_events=200_000,
    stored_people=100_000, rules=2_000, waiting=200_000, due=1_000, due_s=3.0,
    due_per_s=500, mails=1_000, slow_mails=2_000, tls_mails=30, webhooks=10, tasks=10,
    memory_s=2.0,
)  # fmt: skip
FULL: Final = Sizes(
    name="full", repeat=5, people=500_000, single=1_500, hundreds=20_000,
    thousands=30_000, load_s=3.0, connections=64, stored_events=5_000_000,
    stored_people=1_000_000, rules=10_000, waiting=1_000_000, due=5_000, due_s=20.0,
    due_per_s=500, mails=2_000, slow_mails=4_000, tls_mails=200, webhooks=40, tasks=20,
    memory_s=20.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A command line, read."""

    sizes: Sizes
    only: tuple[str, ...]
    repeat: int
    soak_minutes: float
    json: Path
    history: Path | None
    gate: bool


def read(arguments: Sequence[str], *, names: Sequence[str]) -> Options:
    """Read a command line; argparse ends the process for a wrong one."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the engine against its limits."
    )
    parser.add_argument(
        "--quick", action="store_true", help="200,000 rows, about three minutes"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], choices=names, metavar="NAME",
        help=f"some scenarios: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument("--repeat", type=int, help="timed parts of each side")
    parser.add_argument("--timers", type=int, help="timers and mails that wait")
    parser.add_argument(
        "--soak", type=float, default=0.0, metavar="MINUTES",
        help="load the whole product for so long, and watch its memory",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=Path,
        help="where to write (bench/results/latest.json; with --quick or --only part.json)",
    )  # fmt: skip
    parser.add_argument(
        "--no-history", action="store_true", help="leave docs/performance.md alone"
    )
    parser.add_argument(
        "--gate", action="store_true", help="fail if a target is missed"
    )
    given = parser.parse_args(arguments)
    sizes = QUICK if given.quick else FULL
    usual = PART if given.quick or given.only else WHOLE
    return Options(
        sizes=replace(sizes, waiting=given.timers or sizes.waiting),
        only=tuple(given.only),
        repeat=max(1, given.repeat or sizes.repeat),
        soak_minutes=given.soak,
        json=(given.json or usual).absolute(),
        history=None if given.no_history else HISTORY,
        gate=given.gate,
    )
