"""An earlier release is rolled over to this one under load, part by part, and back.

The earlier one is a commit of this repository: the first to which the promise of
docs/operations.md goes back. Where it cannot be had (a clone without history), this
release plays both, and the upgrade is a migration that only adds.
"""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from campaigns.management.processes import dies_with_parent
from demo.sendgrid_simulator import Simulator
from tests.e2e.edge import ROOT
from tests.e2e.load import Ledger, Load
from tests.e2e.product import NOT_OURS, free_port, wait_for
from tests.e2e.servers import Server, server

pytestmark = pytest.mark.crash

EARLIER: Final = "53475be0e1f71bc720a4f228f89db651ecbe62dc"
PARTS: Final = ("campaigns", "demo", "emailtriggers", "templates", "manage.py")
KEY: Final = "upgrade-write-key"
EVENTS: Final = 300  # through each web process in each phase
RATE: Final = 40.0  # of each load; the machine also starts the other release
ADDING: Final = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("campaigns", "{last}")]
    operations = [
        migrations.AddField(
            "ingeststate", "drill", models.TextField(db_default="", default="")
        ),
    ]
"""


class Release:
    """A tree of code that runs in processes of its own."""

    def __init__(self, name: str, tree: Path, folder: Path, **environment: str) -> None:
        self.name, self.tree = name, tree
        self.folder = folder / name
        self.folder.mkdir()
        kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
        self.environment = {
            **kept,
            "PYTHONPATH": str(tree),
            "PORT": str(free_port()),
            "VAR_DIR": str(self.folder / "var"),
            "CLUSTER_HOST": name,
            "WEB_WORKERS": "1",
            "SECRET_KEY": "k" * 64,
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, part: str) -> None:
        with (self.folder / f"{part}.log").open("ab") as log:
            self.processes[part] = subprocess.Popen(
                [sys.executable, "manage.py", part],
                cwd=self.tree,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        if part == "web":
            wait_for(self.serves, f"{self.name} serves", within_s=90)
        else:
            wait_for(self.works, f"{self.name} works", within_s=120)

    def stop(self, part: str) -> None:
        process = self.processes.pop(part)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM), f"{self.name} {part}"

    def kill(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def serves(self) -> bool:
        port = int(self.environment["PORT"])
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as to,
        ):
            to.request("GET", "/healthz")
            return to.getresponse().status == 200
        return False

    def works(self) -> bool:
        url = self.environment["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM campaigns_clusterbeat WHERE name LIKE %s"
                " AND seen_at > clock_timestamp() - interval '10 seconds'",
                [f"%@{self.name}"],
            ).fetchone()
        return row is not None and row[0] == 2

    def load(self, name: str) -> Load:
        port = int(self.environment["PORT"])
        return Load(port=port, key=KEY, name=name, total=EVENTS, rate=RATE)


def trees(folder: Path) -> tuple[Path, Path]:
    """Return the earlier release's code and this one's."""
    new = folder / "this"
    new.mkdir()
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, new / part)
    old = folder / "earlier"
    packed = subprocess.run(
        ["git", "archive", EARLIER, *PARTS], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode == 0:
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(old, filter="data")
        return old, new
    shutil.copytree(new, old)
    last = max(p.stem for p in (new / "campaigns/migrations").glob("[0-9]*.py"))
    adding = new / "campaigns" / "migrations" / "9999_drill.py"
    adding.write_text(ADDING.format(last=last))
    return old, new


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "database") as made:
        yield made


@pytest.fixture
def provider() -> Iterator[Simulator]:
    made = Simulator().start()
    yield made
    made.stop()


@pytest.fixture
def releases(
    tmp_path: Path, database: Server, provider: Simulator
) -> Iterator[tuple[Release, Release]]:
    old, new = trees(tmp_path)
    settings = {"DATABASE_URL": database.url, "SENDGRID_HOST": provider.url}
    both = (
        Release("old", old, tmp_path, **settings),
        Release("new", new, tmp_path, **settings),
    )
    yield both
    for release in both:
        release.kill()


def test_a_release_takes_over_under_load_and_gives_back(releases, database, provider):
    old, new = releases
    old.run("migrate")
    seed = f"from demo.seed import seed; seed(write_key={KEY!r}, live=True)"
    old.run("shell", "-c", seed)
    old.start("web")
    old.start("cluster")
    ledgers: list[Ledger] = []

    # Forward: the tables under the old release's load, then one part after the other.
    first = old.load("a").start()
    new.run("migrate")
    new.start("web")
    second = new.load("b").start()
    new.start("cluster")
    ledgers.append(first.finish())
    old.stop("cluster")
    old.stop("web")
    ledgers.append(second.finish())
    ledgers.append(new.load("c").start().finish())  # the new release alone

    # Back: the old release on the new one's tables.
    third = new.load("d").start()
    old.start("web")
    fourth = old.load("e").start()
    old.start("cluster")
    ledgers.append(third.finish())
    new.stop("cluster")
    new.stop("web")
    ledgers.append(fourth.finish())

    whole = ledgers[0]
    for ledger in ledgers[1:]:
        whole = whole.joined(ledger)
    assert whole.refused == []
    assert whole.given_up == set()
    assert whole.retries == 0, "a request found nobody, or an error"
    assert len(whole.acknowledged) == 5 * EVENTS
    wait_for(lambda: is_done(database.url, whole), "every mail left", within_s=120)
    stored = rows(database.url, "SELECT message_id FROM campaigns_event")
    assert Counter(row[0] for row in stored) == Counter(whole.acknowledged)
    assert set(provider.handovers().values()) == {1}
    assert len(provider.handovers()) == len(whole.signed_up)
    assert "ERROR" not in logs(old) + logs(new)
    new.run("check_sums")


def is_done(url: str, whole: Ledger) -> bool:
    states = dict(rows(url, "SELECT state, count(*) FROM campaigns_message GROUP BY 1"))
    return states == {"sent": len(whole.signed_up)}


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def logs(release: Release) -> str:
    return "".join(p.read_text() for p in release.folder.glob("*.log"))
