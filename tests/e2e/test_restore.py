"""Mails leave after the backup; it is put back; not one of them leaves again.

Real servers, pg_dump and recovery to a point in time; the counts are those of the
provider's simulator, which loses nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.load import Load
from tests.e2e.product import Product, wait_for
from tests.e2e.servers import Server, server

pytestmark = pytest.mark.crash

EVENTS: Final = 200  # in each of the three parts
SIGNED_UP: Final = EVENTS // 4
VIEWED: Final = EVENTS // 20
SPEED: Final = "360"  # the hour until the follow-up is ten seconds
SETTLED: Final = {"sent", "unknown", "skipped"}


@pytest.fixture
def first(tmp_path):
    with server(tmp_path / "first") as made:
        yield made


@pytest.fixture
def product(tmp_path, first):
    made = Product(
        tmp_path,
        DATABASE_URL=first.url,
        SECRET_KEY="k" * 64,
        DEMO_SPEED=SPEED,
        CLUSTER_THREADS="8",
    )
    try:
        made.start()
        yield made
    finally:
        made.end()


@contextmanager
def from_dump(first: Server, _tmp_path: Path) -> Iterator[str]:
    yield first.restored_from_dump()


@contextmanager
def to_a_point(first: Server, tmp_path: Path) -> Iterator[str]:
    first.postgres.stop()  # it is lost
    second = first.restored_to_mark(tmp_path / "second")
    try:
        yield second.start().url
    finally:
        second.postgres.stop()


def dumped(first: Server) -> None:
    first.dump()


def marked(first: Server) -> None:
    first.mark()


@pytest.mark.parametrize(
    ("keep", "restore"),
    [(dumped, from_dump), (marked, to_a_point)],
    ids=["pg_dump", "point in time"],
)
def test_what_left_after_the_backup_does_not_leave_again(
    product, first, tmp_path, keep, restore
):
    report(product, "old")
    wait_for(lambda: rows(product, "state = 'sent'") >= SIGNED_UP, "the first mails")
    first.back_up()
    product.set_faults({"delay_ms": 1000})
    report(product, "gap")
    keep(first)  # some are queued, some in flight, and the follow-ups wait
    wait_for(lambda: all_sent(product), "the mails after the backup", within_s=120)
    first.ask("SELECT pg_switch_wal()")
    lost = left(product)
    product.set_faults({})
    stop(product)

    with restore(first, tmp_path) as url:
        product.use(url)
        refused = product.manage("run")
        assert refused.returncode == 1
        assert "manage.py after_restore" in refused.stderr
        assert "Traceback" not in refused.stderr
        open_mails = rows(product, "state IN ('queued', 'claimed', 'sending')")
        waiting = product.sql("SELECT count(*) FROM campaigns_timer")[0][0]
        assert open_mails + waiting > 0, "the backup was too late to show anything"

        done = product.manage("after_restore")
        assert done.returncode == 0, done.stderr
        unknown = rows(product, "state = 'unknown' AND reason = 'restored'")
        print(f"\n{done.stdout}queued {open_mails}, waiting {waiting}: {unknown}")
        assert unknown == open_mails + waiting
        assert product.manage("check_sums").returncode == 0

        product.start()
        again = report(product, "new")
        wait_for(lambda: new_sent(product) == again, "new mails", within_s=120)
        handed = left(product)
        assert {mail: n for mail, n in handed.items() if n > 1} == {}
        assert lost.keys() <= handed.keys()
        assert ids_handed_twice(product) == []
        assert product.manage("check_sums").returncode == 0
        stop(product)


def report(product: Product, name: str) -> int:
    """Post events; return how many mails they lead to."""
    load = Load(port=product.port, key=product.key, name=name, total=EVENTS)
    ledger = load.start().finish()
    assert len(ledger.acknowledged) == EVENTS
    return SIGNED_UP + VIEWED


def rows(product: Product, condition: str) -> int:
    found = product.sql(f"SELECT count(*) FROM campaigns_message WHERE {condition}")
    return int(found[0][0])


def all_sent(product: Product) -> bool:
    """Return whether both parts' mails left, and none waits any more."""
    return (
        rows(product, "state = 'sent'") >= 2 * (SIGNED_UP + VIEWED)
        and rows(product, "state NOT IN ('sent')") == 0
    )


def new_sent(product: Product) -> int:
    return sum(1 for to, _ in left(product) if to.startswith("new-"))


def left(product: Product) -> Counter[tuple[str, str]]:
    """Return how often (address, subject) was handed over, by the simulator."""
    return Counter((mail["to"], mail["subject"]) for mail in product.inbox())


def ids_handed_twice(product: Product) -> list[object]:
    found = product.inbox("/api/handovers")
    return [row for row in found if int(row["count"]) > 1]


def stop(product: Product) -> None:
    _, code, alive = product.interrupt()
    assert code == 0
    assert alive == []
