"""The embedded PostgreSQL: crashes, leftovers, damage, and what it says."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from signal import SIGINT, SIGQUIT

import psutil
import psycopg
import pytest

from emailtriggers import embedded
from emailtriggers.postgres import Postgres, PostgresBroken

pytestmark = pytest.mark.crash

OWNER = """
import sys
from pathlib import Path
from emailtriggers.postgres import Postgres
server = Postgres(Path(sys.argv[1]), log=Path(sys.argv[2]))
server.start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    """A folder that the server's user may enter, too."""
    for step in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        step.chmod(step.stat().st_mode | 0o011)
    return tmp_path


@pytest.fixture
def server(folder):
    made = make(folder)
    yield made
    made.stop()


def make(folder, name="data"):
    return Postgres(folder / name, log=folder / "postgres.log")


def connect(server):
    return psycopg.connect(
        host=str(server.socket_dir), user=embedded.USER, dbname="postgres"
    )


def test_what_was_committed_survives_a_killed_postmaster(server):
    server.start()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    assert not server.is_running()
    server.start()
    with connect(server) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_zombie_postmaster_is_not_taken_for_a_running_one(folder, server):
    server.start()
    zombie = server.process
    os.kill(zombie.pid, signal.SIGKILL)
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        pass  # it is dying; nobody reaps it, so its id goes on naming it
    pid_file = folder / "data" / "postmaster.pid"
    assert pid_file.read_text().startswith(str(zombie.pid))
    server.start()
    assert zombie.wait() == -signal.SIGKILL
    assert server.process.pid != zombie.pid
    with connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pid_file_that_names_a_stranger_is_cleared(folder, server):
    server.start()
    server.stop()
    stale = folder / "data" / "postmaster.pid"
    lines = [
        os.getpid(),
        folder / "data",
        1,
        5432,
        server.socket_dir,
        "",
        "1 1",
        "ready",
    ]
    stale.write_text("\n".join(map(str, lines)) + "\n")
    server.start()
    assert stale.read_text().startswith(str(server.process.pid))


def test_a_server_whose_owner_was_killed_is_ended_and_replaced(folder, server):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder / "data"), str(folder / "owner.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with owner:
        orphan = psutil.Process(int(owner.stdout.readline()))
        with pytest.raises(PostgresBroken, match="already runs the database"):
            server.start()
        owner.kill()
        owner.wait()
    assert orphan.is_running()
    server.start()
    orphan.wait(timeout=5)
    assert server.process.pid != orphan.pid


def test_a_folder_of_something_else_is_left_alone(folder, server):
    (folder / "data").mkdir()
    (folder / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(PostgresBroken, match="has no PG_VERSION"):
        server.start()
    assert (folder / "data" / "thesis.txt").read_text() == "years of work"


def test_data_of_another_version_is_refused_by_name(folder, server):
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresBroken, match=r"PostgreSQL '12'.*brings PostgreSQL 18"):
        server.start()


def test_damaged_data_are_one_clear_sentence(folder, server):
    server.start()
    server.stop()
    (folder / "data" / "global" / "pg_control").write_bytes(b"\0" * 100)
    with pytest.raises(PostgresBroken, match=r"does not start: .*pg_control.*backup"):
        server.start()


def test_a_half_made_folder_of_a_crash_is_made_anew(folder, server):
    (folder / "data.new" / "base").mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    server.start()
    assert server.is_running()
    assert not (folder / "data.new").exists()


def test_a_long_path_gets_a_short_socket(folder):
    server = make(folder, name="d" * 120)
    try:
        server.start()
        assert server.socket_dir != server.data
        assert server.socket_dir.stat().st_mode & 0o077 == 0
        with connect(server) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
        server.socket_dir.rmdir()


def test_stopping_while_it_starts_waits_for_nothing(server):
    server.start(stopping=lambda: True)
    server.stop(patience_s=0.0)
    assert not server.is_running()


def test_it_heeds_a_stop_at_once_where_a_script_had_us_ignore_signals(server):
    before = {s: signal.signal(s, signal.SIG_IGN) for s in (SIGINT, SIGQUIT)}
    try:
        server.start(stopping=lambda: True)
        told = server.process
        told.send_signal(SIGINT)
        told.wait(10)  # most often before PostgreSQL has handlers of its own
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_a_server_that_runs_but_refuses_us_is_one_clear_sentence(server):
    server.start()
    server.stop()
    (server.data / "global" / "1260").write_bytes(b"")  # its table of users
    with pytest.raises(PostgresBroken, match=r"does not exist.*move it away"):
        server.start()


def test_a_file_where_the_folder_should_be_is_named(server):
    server.data.write_text("not a folder")
    with pytest.raises(PostgresBroken, match="data is not a folder"):
        server.start()
