"""The fuzzer in seconds: one fixed seed, and one that is new each time."""

import secrets

import pytest

from fuzz import library
from fuzz.crowd import crowds, trouble_in
from fuzz.heads import Kind
from fuzz.report import figures, table
from fuzz.run import run
from fuzz.site import Site

pytestmark = pytest.mark.crash

REQUESTS = 1_500
INPUTS = 150
IDLE = 400


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("fuzz"))
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def target(site):
    return site.target()


@pytest.fixture(params=["fixed", "new"])
def seed(request):
    chosen = 1 if request.param == "fixed" else secrets.randbelow(1_000_000)
    print(f"FUZZ_SEED={chosen}")
    return chosen


def test_the_running_product_bears_hostile_requests(site, target, seed):
    outcome = run(site, target, seed=seed, requests=REQUESTS)
    print(table(figures(outcome)))
    assert outcome.breaches == []
    tally = outcome.tally
    assert tally.sent == REQUESTS
    assert 0 < tally.fruitless < tally.fruitful < tally.passed
    assert 0 < outcome.webhooks_fruitful <= tally.statuses[Kind.WEBHOOK, 200]
    assert tally.statuses[Kind.STAFF, 200] > 0


def test_the_readers_bear_hostile_input(seed):
    read = library.run(seed, INPUTS)
    assert read.found == []
    for name in library.READERS:
        refused = sum(read.refused(name).values())
        assert read.accepted(name) + refused == INPUTS
        assert read.accepted(name) > INPUTS / 3
        assert refused


def test_others_are_served_beside_every_crowd(site, target):
    stages = crowds(site, target, idle=IDLE, seconds=1.5, tell=print)
    assert len(stages) == 6
    assert trouble_in(stages) == []
    assert all(stage.events > 1 for stage in stages)
    silent, slow, secret, public, stranger = (stage.crowd for stage in stages[1:])
    assert silent == f"{IDLE} still open"
    assert slow == "200 still open"
    assert secret.startswith("200: ")
    assert "429: " in public
    assert stranger.startswith("401: ")
    assert all("50" not in said.partition(":")[0] for said in (secret, public))
