"""kill -9 of any part, under load: work goes on by itself, nothing is lost or twice.

The drill strikes at random (test_drill.py); here each part dies at a chosen moment,
and what that costs is measured. CI kills three, one after the other; KILLS=all kills each of the seven, each in
an installation of its own. What was measured is printed (pytest -rP shows it).
"""

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import psutil
import psycopg
import pytest

from tests.e2e.load import Ledger, Load, utc_now
from tests.e2e.product import Product, is_alive, wait_for

pytestmark = pytest.mark.crash

KINDS: Final = (
    "idle worker",
    "busy worker",
    "monitor",
    "sentinel",
    "main",
    "web worker",
    "postmaster",
)
IN_CI: Final = ("busy worker", "sentinel", "postmaster")
ALL: Final = os.environ.get("KILLS") == "all"
RUNS: Final = [(kind,) for kind in KINDS] if ALL else [IN_CI]
EVENTS: Final = 4000 if ALL else 2000  # around each kill, at 200 a second
AFTER: Final = 200  # once the dead is replaced
IN_FLIGHT: Final = 5
# Not those that an earlier kill left behind.
IN_FLIGHT_NOW: Final = (
    "state = 'sending' AND sending_at > clock_timestamp() - interval '2 seconds'"
)
THREADS: Final = 8
PROVIDER: Final = {"delay_ms": 120}
RECOVERY_S: Final = 60.0
CHOICE_S: Final = 120.0
DRAIN_S: Final = 180.0  # for the backlog of a machine that is slow and shared
READ: Final = "63" if platform.machine() == "aarch64" else "0"
COLUMNS: Final = (
    "killed", "in flight", "replaced s", "stalled s", "acked", "acked/s", "retries",
    "lost", "sent", "sent/s", "twice", "unknown",
)  # fmt: skip
UNANSWERED: Final = "The worker ended before the answer was written."


@dataclass(kw_only=True)
class Round:
    """One kill under a load of its own, and what came of it."""

    kind: str
    killed_at: datetime
    in_flight: int
    replaced_s: float
    ledger: Ledger
    # The longest pause in the hand-overs from then on, but for mails that lay with
    # the dead: they wait for the end of their lease.
    stalled_s: float = 0.0
    sent_per_s: float = 0.0  # from the first hand-over to the last, the pause included
    stored: Counter[str] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)
    handed_over: Counter[str] = field(default_factory=Counter)

    def lost(self) -> set[str]:
        """Return acknowledged events that are not in the database."""
        return self.ledger.acknowledged - self.stored.keys()


@pytest.fixture
def product(tmp_path, kinds):
    # With four workers one is idle now and then, even at 50 mails a second.
    workers = "4" if "idle worker" in kinds else "2"
    made = Product(tmp_path, CLUSTER_THREADS=str(THREADS), CLUSTER_WORKERS=workers)
    try:
        made.start()
        made.set_faults(PROVIDER)
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("kinds", RUNS, ids=", ".join)
def test_work_goes_on_and_nothing_is_lost_or_twice(product, kinds):
    rounds = [kill_under_load(product, kind) for kind in kinds]
    wait_for(lambda: is_drained(product), "all work is done", within_s=DRAIN_S)
    wait_for(lambda: not unknown_but_sent(product), "evidence settles unknown mails")
    for each in rounds:
        look_at(product, each)
    rescued = len(unanswered(product))
    print(table(rounds, rescued=rescued))

    for each in rounds:
        assert each.ledger.refused == []
        assert each.ledger.given_up == set()
        assert each.lost() == set()
        assert twice(each.stored) == {}
        assert twice(each.handed_over) == {}
        assert each.stalled_s < RECOVERY_S
        # Each who signed up has one mail: handed over, or kept as `unknown`.
        assert each.mails.total() == len(each.ledger.signed_up)
        assert each.mails.keys() <= {"sent", "unknown"}
        assert each.handed_over.total() == each.mails["sent"]
    assert twice(handovers(product)) == {}
    sums = product.manage("check_sums")
    assert sums.returncode == 0, sums.stderr
    if "busy worker" in kinds:
        assert rescued, "the killed worker had nothing in its hands"


# --- one kill ---------------------------------------------------------------


def kill_under_load(product: Product, kind: str) -> Round:
    """Kill -9 a part while mails are being handed over; wait until it is replaced."""
    wait_for(product.is_ready, "all is well")
    name = kind.replace(" ", "-")
    load = loaded(product, name, EVENTS)
    victim, in_flight = wait_for(
        lambda: chosen(product, kind),
        f"{kind} and mails in `sending`",
        within_s=CHOICE_S,
    )
    before = {p.pid for p in product.part(part_of(kind))}
    killed_at, began = utc_now(), time.monotonic()
    victim.kill()
    wait_for(lambda: is_replaced(product, kind, before), f"{kind} is replaced")
    replaced_s = time.monotonic() - began
    return Round(
        kind=kind,
        killed_at=killed_at,
        in_flight=in_flight,
        replaced_s=replaced_s,
        ledger=load.finish().joined(loaded(product, f"{name}-after", AFTER).finish()),
    )


def loaded(product: Product, name: str, total: int) -> Load:
    """Begin to post that many events."""
    return Load(port=product.port, key=product.key, name=name, total=total).start()


def part_of(kind: str) -> str:
    """Return the part to which such a process belongs."""
    return "worker" if kind in ("idle worker", "busy worker") else kind


def chosen(product: Product, kind: str) -> tuple[psutil.Process, int] | None:
    """Return whom to kill and how many mails are in `sending`, if it is the moment.

    A worker is frozen while it is looked at, so that it dies as what it was chosen.
    """
    for process in product.part(part_of(kind)):
        if part_of(kind) != "worker":
            in_flight = count(product, IN_FLIGHT_NOW)
            return (process, in_flight) if in_flight >= IN_FLIGHT else None
        freeze(process)
        in_flight = count(product, IN_FLIGHT_NOW)
        if is_moment(process, kind, in_flight):
            return process, in_flight
        process.resume()
    return None


def freeze(process: psutil.Process) -> None:
    """Stop the process where it is, and wait until it stands."""
    process.suspend()
    wait_for(
        lambda: not is_alive(process) or process.status() == psutil.STATUS_STOPPED,
        "a worker's standstill",
    )


def is_moment(worker: psutil.Process, kind: str, in_flight: int) -> bool:
    """Return whether a frozen worker is as idle, or as busy, as it should be."""
    if kind == "idle worker":
        return in_flight >= IN_FLIGHT and waits_for_work(worker)
    # More mails than the other has threads: each of the two is busy.
    return in_flight > THREADS


def waits_for_work(process: psutil.Process) -> bool:
    """Return whether its main thread reads a pipe: a worker's queue of tasks.

    The worker that does so holds the queue's lock; its death is what wedges a
    cluster that nobody watches.
    """
    folder = Path("/proc") / str(process.pid)
    number, *arguments = (folder / "syscall").read_text().split()
    if number != READ:
        return False
    file = folder / "fd" / str(int(arguments[0], 16))
    return str(file.readlink()).startswith("pipe:")


def is_replaced(product: Product, kind: str, before: set[int]) -> bool:
    """Return whether a new process took the dead one's place."""
    return bool({p.pid for p in product.part(part_of(kind))} - before)


# --- afterwards -------------------------------------------------------------


def count(product: Product, condition: str) -> int:
    """Return how many messages that is; 0 while the database is away."""
    try:
        rows = product.sql(f"SELECT count(*) FROM campaigns_message WHERE {condition}")
    except psycopg.OperationalError:
        return 0
    return int(rows[0][0])


def is_drained(product: Product) -> bool:
    """Return whether nothing waits to be sent or applied, and all parts are well."""
    return (
        count(product, "state IN ('queued', 'claimed', 'sending')") == 0
        and product.sql("SELECT 1 FROM campaigns_timer WHERE due_at < now()") == []
        and product.inbox("/api/webhook")["pending"] == 0
        and product.sql(
            "SELECT 1 FROM campaigns_webhookbatch WHERE pending_at IS NOT NULL"
        )
        == []
        and product.is_ready()
    )


def handovers(product: Product) -> Counter[str]:
    """Return how often each message was handed over, by the simulator's own count."""
    rows = product.inbox("/api/handovers")
    return Counter({str(row["message"]): int(row["count"]) for row in rows})


def unknown_but_sent(product: Product) -> set[str]:
    """Return mails that are still `unknown`, though the simulator has them."""
    unknown = product.sql("SELECT id FROM campaigns_message WHERE state = 'unknown'")
    return {str(row[0]) for row in unknown} & handovers(product).keys()


def unanswered(product: Product) -> list[tuple[object, ...]]:
    """Return the attempts whose worker died before the answer."""
    return product.sql("SELECT id FROM campaigns_attempt WHERE detail = %s", UNANSWERED)


def look_at(product: Product, each: Round) -> None:
    """Read what became of a round's events and mails."""
    name = each.kind.replace(" ", "-") + "-%"
    stored = product.sql(
        "SELECT message_id FROM campaigns_event WHERE message_id LIKE %s", name
    )
    each.stored = Counter(row[0] for row in stored)
    mails = product.sql(
        "SELECT m.state FROM campaigns_customer c"
        " JOIN campaigns_journey j ON j.customer_id = c.id"
        " JOIN campaigns_rule r ON r.id = j.rule_id AND r.name = 'Welcome'"
        " LEFT JOIN campaigns_message m ON m.journey_id = j.id"
        " WHERE c.email LIKE %s",
        name,
    )
    each.mails = Counter(str(row[0]) for row in mails)
    received = [
        (
            mail["to"],
            mail["custom_args"]["et_message"],
            datetime.fromisoformat(mail["received_at"]),
        )
        for mail in product.inbox()
    ]
    ours = [row for row in received if row[0] in each.ledger.signed_up]
    each.handed_over = Counter(to for to, _, _ in ours)
    span = max(at for _, _, at in ours) - min(at for _, _, at in ours)
    each.sent_per_s = len(ours) / span.total_seconds()
    rescued = product.sql("SELECT id FROM campaigns_message WHERE attempt > 1")
    late = {str(row[0]) for row in rescued}
    end = max(at for _, key, at in ours if key not in late)
    # Earlier rounds' mails too: they may stand before this round's in the queue.
    times = sorted(at for _, _, at in received if at <= end)
    each.stalled_s = longest_pause([each.killed_at, *times], since=each.killed_at)


def longest_pause(times: Iterable[datetime], *, since: datetime) -> float:
    """Return the longest time in seconds from one to the next, from `since` on."""
    pauses = (b - a for a, b in pairwise(at for at in times if at >= since))
    return max(pause.total_seconds() for pause in pauses)


def twice(counted: Counter[str]) -> dict[str, int]:
    """Return what was counted more than once."""
    return {what: n for what, n in counted.items() if n > 1}


def table(rounds: list[Round], *, rescued: int) -> str:
    """Return what was measured, for people."""
    rows = [
        [
            each.kind,
            each.in_flight,
            f"{each.replaced_s:.1f}",
            f"{each.stalled_s:.1f}",
            len(each.ledger.acknowledged),
            f"{len(each.ledger.acknowledged) / each.ledger.took_s:.0f}",
            each.ledger.retries,
            len(each.lost()),
            each.handed_over.total(),
            f"{each.sent_per_s:.0f}",
            len(twice(each.handed_over)),
            each.mails["unknown"],
        ]
        for each in rounds
    ]
    lines = ["".join(f"{value:>12}" for value in row) for row in [COLUMNS, *rows]]
    return "\n".join(["", *lines, f"calls cut short by a death: {rescued}"])
