"""The keel under load: what threads and processes did, in the order that they
recorded, is what the simulation makes of that order (invariant 8)."""

import base64
import json
import os
import pickle
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.deciding import clock
from tests.keel.histories import FAULTS_AT_ONCE, Post
from tests.keel.live import SharedClock, prepare_setting
from tests.keel.test_keel import (
    PHASES,
    compare,
    count_what_happened,
    histories,
    placed,
    seen,
)

EXAMPLES = int(os.environ.get("KEEL_PARALLEL_EXAMPLES", "12"))
PROCESSES, THREADS = 2, 4


@pytest.fixture
def workers(database_url, settings_recording):
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "SECRET_KEY": settings_recording.SECRET_KEY,
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.keel.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout.readline().strip() == "ready"
    yield started
    for process in started:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(20) == 0


def dealt(made, order):
    """Deal operations to threads; every third post is sent by two of them."""
    shares = [[] for _ in range(PROCESSES * THREADS)]
    for number, operation in enumerate(made):
        first = order[number % len(order)] % len(shares)
        shares[first].append(operation)
        if isinstance(operation, Post) and number % 3 == 0:
            shares[(first + 1) % len(shares)].append(operation)
    return shares


# The drawn histories are long; hypothesis minds only their printed form.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.keel
@pytest.mark.django_db(transaction=True)
def test_the_recorded_order_of_many_processes_simulates_to_the_same(
    settings_recording, workers
):
    seen.clear()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )
    @given(
        histories(size=(60, 120), faults=FAULTS_AT_ONCE),
        st.lists(st.integers(0, 7), min_size=5, max_size=20),
    )
    def run(history, order):
        drawn, made = history
        setting = prepare_setting(placed(drawn))
        SharedClock.create()
        shares = dealt(made, order)
        for number, process in enumerate(workers):
            mine = shares[number * THREADS : (number + 1) * THREADS]
            line = base64.b64encode(pickle.dumps((setting, mine))).decode()
            process.stdin.write(line + "\n")
            process.stdin.flush()
        errors = [e for p in workers for e in json.loads(p.stdout.readline())]
        assert not errors, errors[0]
        with clock.use(SharedClock()):
            rows = compare(setting, made, SharedClock().now())
        everything = {
            (s.id, e.message_id)
            for o in made
            if isinstance(o, Post)
            for s in [setting.public if o.public else setting.source]
            for e in o.events
        }
        assert set(rows["decisions"]) == everything, "an event was lost"
        count_what_happened(setting, made, rows)

    run()
    assert Counter(seen)["histories"] >= EXAMPLES
