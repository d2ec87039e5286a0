"""The runner and a database that dies while it is being started again."""

import multiprocessing
import os
import signal

import pytest

from emailtriggers import running
from emailtriggers.postgres import Postgres, PostgresBroken
from emailtriggers.running import Running

PARAMETERS = {"fsync": "off", "full_page_writes": "off"}


@pytest.fixture
def signals():
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.getsignal(name) for name in names}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.fixture
def run(tmp_path, signals, monkeypatch):
    """A runner whose database dies at once at those of its launches in `run.deadly`."""
    monkeypatch.setattr(running, "DATABASE_PAUSE_S", 0.0)
    tmp_path.chmod(0o711)
    launches = multiprocessing.Value("i", 0)
    made = Running()
    made.deadly = set()

    def launched():
        with launches.get_lock():
            launches.value += 1
        if launches.value in made.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    made.postgres = Postgres(
        tmp_path / "data",
        log=tmp_path / "log",
        parameters=PARAMETERS,
        dies_with_us=launched,
    )
    made.postgres.start()
    yield made
    made.postgres.stop()


def crash(run):
    run.postgres.process.kill()
    run.postgres.process.wait()


def test_a_database_that_dies_while_it_starts_again_is_started_once_more(run):
    run.deadly = {2, 3}
    crash(run)
    run.look()
    assert run.postgres.is_running()


def test_a_database_that_never_starts_again_ends_the_run(run):
    run.deadly = set(range(2, 100))
    crash(run)
    with pytest.raises(PostgresBroken):
        run.look()
