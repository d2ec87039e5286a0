"""More than one host on one PostgreSQL: what is lost on the way between them is mended.

What was measured is printed (pytest -rP shows it).
"""

import time
from pathlib import Path
from typing import Final

import pytest

from campaigns.watching.doctor_database import needed_connections
from tests.e2e.hosts import AWAY_S, ENDED, LATE_S, NEEDS, SENT, Site, site
from tests.e2e.load import Ledger
from tests.e2e.product import wait_for

pytestmark = NEEDS

CLOCK_WRONG_S: Final = 300
SPEED: Final = 240  # the hour that a viewed product waits takes 15 seconds
WAIT_S: Final = 3600 / SPEED
FAKETIME: Final = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.fixture
def two(tmp_path):
    with site(tmp_path) as made:
        yield made


def backends_of(where: Site, name: str) -> int:
    ((count,),) = where.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet",
        where.network.address(name),
    )
    return int(count)


def viewed(ledger: Ledger) -> int:
    """Return how many events begin a journey that waits (tests.e2e.load)."""
    return len(ledger.acknowledged) // 20


def test_two_hosts_share_the_work_and_nothing_is_lost_or_twice(two, settings):
    first, second = (two.add(name, "web", "cluster") for name in "ab")
    loads = [
        first.load("a", total=400, rate=40.0),
        second.load("b", total=400, rate=40.0),
    ]
    ledger = loads[0].finish().joined(loads[1].finish())
    mails = len(ledger.signed_up)
    wait_for(lambda: two.settled(mails, allowed=SENT), "all left", within_s=LATE_S)
    two.look_at(ledger)
    assert ledger.retries == 0
    settings.WEB_WORKERS = 1
    for name in "ab":
        assert 0 < backends_of(two, name) <= needed_connections()
    assert "ERROR" not in first.logs() + second.logs()


def test_what_a_vanished_host_held_is_taken_over_and_leaves_once(two):
    lost, kept = (two.add(name, "web", "cluster") for name in "ab")
    two.provider.faults({"kind": "delay", "delay_ms": 1500})
    load = kept.load("b", total=1000, rate=40.0)
    wait_for(lambda: two.in_hand() > 16, "both hosts have mails in hand")
    two.network.cut("a")
    cut_at = time.monotonic()
    wait_for(lambda: not backends_of(two, "a"), "its locks are gone", within_s=LATE_S)
    freed_s = time.monotonic() - cut_at
    ledger = load.finish()
    mails = len(ledger.signed_up)
    wait_for(lambda: two.settled(mails, allowed=ENDED), "all ended", within_s=LATE_S)
    ended_s = time.monotonic() - cut_at
    # Its processes never learn of it; whatever they still try is lost on the way.
    states = two.states()
    two.look_at(ledger)
    print(
        f"locks gone after {freed_s:.1f} s, all ended after {ended_s:.1f} s, {states}"
    )
    assert freed_s < 40
    assert lost.get("/healthz") == 0


def test_a_cut_between_cluster_and_database_is_noticed_and_outlived(two):
    cut = two.add("a", "web", "cluster")
    other = two.add("b", "web")
    two.provider.faults({"kind": "delay", "delay_ms": 500})
    load = other.load("b", total=1000, rate=25.0)
    wait_for(lambda: two.states()["sent"] > 20 and two.in_hand(), "mails leave")
    two.network.cut("a", "database")
    cut_at = time.monotonic()
    status = cut.get("/readyz", patience_s=AWAY_S)
    told_s = time.monotonic() - cut_at
    wait_for(lambda: not backends_of(two, "a"), "its locks are gone", within_s=LATE_S)
    freed_s = time.monotonic() - cut_at
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - cut_at)))  # how long it lasts
    before = two.states()["sent"]
    two.network.heal("a", "database")
    healed_at = time.monotonic()
    wait_for(lambda: two.states()["sent"] > before, "mails leave again")
    back_s = time.monotonic() - healed_at
    wait_for(lambda: cut.get("/readyz") == 200, "all is well again")
    ready_s = time.monotonic() - healed_at
    ledger = load.finish()
    mails = len(ledger.signed_up)
    wait_for(lambda: two.settled(mails, allowed=ENDED), "all ended", within_s=LATE_S)
    states = two.states()
    two.look_at(ledger)
    print(
        f"/readyz said {status} after {told_s:.1f} s, locks gone after {freed_s:.1f} s; "
        f"healed: a mail after {back_s:.1f} s, ready after {ready_s:.1f} s; {states}"
    )
    assert status == 503
    assert told_s < AWAY_S
    assert freed_s < 40
    assert back_s < 45
    assert "the database is away" in cut.logs()


@pytest.mark.parametrize(
    "wrong_s", [CLOCK_WRONG_S, -CLOCK_WRONG_S], ids=["fast", "slow"]
)
def test_a_host_whose_clock_is_wrong_decides_by_the_databases(two, wrong_s):
    assert FAKETIME, "libfaketime is not installed"
    wrong = two.add("a", "web", "cluster", DEMO_SPEED=str(SPEED), **wrong_by(wrong_s))
    right = two.add("b", "web", "cluster", DEMO_SPEED=str(SPEED))
    # Slow enough that a lease taken for over would be seen.
    two.provider.faults({"kind": "delay", "delay_ms": 2000})
    loads = [
        wrong.load("a", total=200, rate=20.0),
        right.load("b", total=200, rate=20.0),
    ]
    ledgers = [each.finish() for each in loads]
    ledger = ledgers[0].joined(ledgers[1])
    mails = len(ledger.signed_up) + viewed(ledger)
    wait_for(lambda: two.settled(mails, allowed=SENT), "all left", within_s=LATE_S)
    two.look_at(ledger)
    received = two.rows("SELECT message_id, received_at FROM campaigns_event")
    for message_id, at in received:
        name, number = message_id.split("-")
        own = ledgers["ab".index(name)]
        batch = int(number) // 10
        early = (own.posted_at[batch] - at).total_seconds()
        late = (at - own.acknowledged_at[batch]).total_seconds()
        assert early < 1, message_id
        assert late < 1, message_id
    waits = two.rows(
        "SELECT EXTRACT(EPOCH FROM m.sending_at - e.received_at)::float8"
        " FROM campaigns_message m JOIN campaigns_journey j ON j.id = m.journey_id"
        " JOIN campaigns_event e ON e.id = j.event_id WHERE e.name = 'Product Viewed'"
    )
    assert len(waits) == viewed(ledger)
    assert all(WAIT_S - 1 <= wait < WAIT_S + 60 for (wait,) in waits), waits
    assert "clocks" in doctor(wrong)
    assert "clocks" not in doctor(right)


def wrong_by(seconds: int) -> dict[str, str]:
    """Return the environment of processes whose clock is wrong by that much."""
    return {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).with_name("faketime")),
    }


def doctor(host) -> str:
    """Return the parts of which the doctor says something."""
    return host.manage("shell", "-c", LOOK)


LOOK: Final = """
from campaigns.watching.doctor import look
print([f.part for f in look() if f.mend])
"""
