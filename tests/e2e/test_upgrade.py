"""An earlier release is rolled over to this one under load, part by part, and back.

The earlier one is a commit of this repository: the first to which the promise of
docs/operations.md goes back. Where it cannot be had (a clone without history), this
release plays both, and the upgrade is a migration that only adds.
"""

import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

from demo.sendgrid_simulator import Simulator
from tests.e2e.edge import ROOT
from tests.e2e.load import Ledger, Load
from tests.e2e.product import wait_for
from tests.e2e.releases import KEY, SEED, Release, rows
from tests.e2e.servers import Server, server

pytestmark = pytest.mark.crash

EARLIER: Final = "53475be0e1f71bc720a4f228f89db651ecbe62dc"
PARTS: Final = ("campaigns", "demo", "emailtriggers", "templates", "manage.py")
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
    old.run("shell", "-c", SEED)
    old.start("web")
    old.start("cluster")
    ledgers: list[Ledger] = []

    # Forward: the tables under the old release's load, then one part after the other.
    first = load(old, "a").start()
    new.run("migrate")
    new.start("web")
    second = load(new, "b").start()
    new.start("cluster")
    ledgers.append(first.finish())
    old.stop("cluster")
    old.stop("web")
    ledgers.append(second.finish())
    ledgers.append(load(new, "c").start().finish())  # the new release alone

    # Back: the old release on the new one's tables.
    third = load(new, "d").start()
    old.start("web")
    fourth = load(old, "e").start()
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
    assert "ERROR" not in old.logs() + new.logs()
    new.run("check_sums")


def load(release: Release, name: str) -> Load:
    return Load(port=release.port, key=KEY, name=name, total=EVENTS, rate=RATE)


def is_done(url: str, whole: Ledger) -> bool:
    states = dict(rows(url, "SELECT state, count(*) FROM campaigns_message GROUP BY 1"))
    return states == {"sent": len(whole.signed_up)}
