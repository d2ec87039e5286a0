"""Hosts that reach one PostgreSQL through PgBouncer, and what is lost on either side.

PgBouncer has the settings of ops/pgbouncer and a host of its own. What was measured is
printed (pytest -rP shows it).
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from campaigns.watching.doctor_database import needed_connections
from tests.e2e.hosts import AWAY_S, ENDED, LATE_S, NEEDS, SENT, Host, Site, site
from tests.e2e.product import wait_for

pytestmark = NEEDS

NOTICED_S = 20.0  # tcp_user_timeout, and what a look takes
# The same for a connection that was kept, then query_wait_timeout for another.
TOLD_S = 45.0


@pytest.fixture
def pooled(tmp_path):
    with site(tmp_path, pooled=True) as made:
        yield made


def clients_of(where: Site) -> Counter[str]:
    """Return how many connections PgBouncer has from each address."""
    with where.network.inside("pooler"):
        return Counter(client["addr"] for client in where.pooler.ask("SHOW CLIENTS"))


def freed_within(where: Site, cut_at: float) -> float:
    """Return after how many seconds the lock of a lost host was free."""
    wait_for(lambda: not where.is_locked(), "its locks are gone", within_s=AWAY_S)
    return time.monotonic() - cut_at


def told(host: Host, cut_at: float) -> tuple[int, float]:
    """Return what /readyz answers, and how many seconds after the cut."""
    return host.get("/readyz", patience_s=TOLD_S), time.monotonic() - cut_at


def test_two_hosts_share_a_pooler_and_one_that_vanishes_comes_back(pooled, settings):
    lost, kept = (pooled.add(name, "web", "cluster") for name in "ab")
    loads = [
        lost.load("a", total=200, rate=60.0),
        kept.load("b", total=200, rate=60.0),
    ]
    ledger = loads[0].finish().joined(loads[1].finish())
    mails = len(ledger.signed_up)
    wait_for(lambda: pooled.settled(mails, allowed=SENT), "all left", within_s=LATE_S)
    assert ledger.retries == 0
    settings.WEB_WORKERS = 1
    clients = clients_of(pooled)
    for host in (lost, kept):
        assert 0 < clients[host.address] <= needed_connections()
    assert "ERROR" not in lost.logs() + kept.logs()

    pooled.provider.faults({"kind": "delay", "delay_ms": 1500})
    load = kept.load("c", total=400, rate=60.0)
    with pooled.lock_of("a"):
        wait_for(lambda: pooled.in_hand() > 16, "both hosts have mails in hand")
        pooled.network.cut("a")
        cut_at = time.monotonic()
        freed_s = freed_within(pooled, cut_at)
    ledger = ledger.joined(load.finish())
    mails = len(ledger.signed_up)
    wait_for(lambda: pooled.settled(mails, allowed=ENDED), "all ended", within_s=LATE_S)
    ended_s = time.monotonic() - cut_at
    assert lost.get("/healthz") == 0
    pooled.network.heal("a")
    healed_at = time.monotonic()
    wait_for(lambda: lost.get("/readyz") == 200 and lost.works(), "it is back")
    back_s = time.monotonic() - healed_at
    states = pooled.states()
    pooled.look_at(ledger)
    print(
        f"locks gone after {freed_s:.1f} s, all ended after {ended_s:.1f} s, back "
        f"{back_s:.1f} s after the cut was healed; {clients}, {states}"
    )
    assert freed_s < NOTICED_S


def test_a_cut_between_pooler_and_database_is_noticed_by_both_and_outlived(pooled):
    host = pooled.add("b", "web", "cluster")
    pooled.provider.faults({"kind": "delay", "delay_ms": 500})
    load = host.load("b", total=400, rate=25.0)
    with ThreadPoolExecutor(1) as clients, pooled.lock_of("b"):
        wait_for(
            lambda: pooled.states()["sent"] > 10 and pooled.in_hand(), "they leave"
        )
        pooled.network.cut("pooler", "database")
        cut_at = time.monotonic()
        asked = clients.submit(told, host, cut_at)
        freed_s = freed_within(pooled, cut_at)
        status, told_s = asked.result()
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - cut_at)))  # how long it lasts
    before = pooled.states()["sent"]
    pooled.network.heal("pooler", "database")
    healed_at = time.monotonic()
    wait_for(lambda: pooled.states()["sent"] > before, "mails leave again")
    back_s = time.monotonic() - healed_at
    wait_for(lambda: host.get("/readyz") == 200, "all is well again")
    ready_s = time.monotonic() - healed_at
    ledger = load.finish()
    mails = len(ledger.signed_up)
    wait_for(lambda: pooled.settled(mails, allowed=ENDED), "all ended", within_s=LATE_S)
    states = pooled.states()
    pooled.look_at(ledger)
    print(
        f"/readyz said {status} after {told_s:.1f} s, locks gone after {freed_s:.1f} s; "
        f"healed: a mail after {back_s:.1f} s, ready after {ready_s:.1f} s; {states}, "
        f"{ledger.retries} retries"
    )
    assert status == 503
    assert told_s < TOLD_S
    assert freed_s < NOTICED_S
    assert back_s < NOTICED_S
    assert "the database is away" in host.logs()
