"""docs/api.md does what it says."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from campaigns.models import Event, RejectedEvent
from tests.e2e.live import clean_server, write_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clean(monkeypatch, transactional_db):
    with clean_server(monkeypatch):
        yield


TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def run(block, live_server, key):
    """Run a block of shell; return what it printed."""
    bash = shutil.which("bash")
    assert bash, "the blocks are written for bash"
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", block],
        env={**os.environ, "HOST": live_server.url, "KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_shell_block_runs_and_prints_what_follows_it(live_server):
    key = write_key()
    shown = 0
    for (kind, block), (next_kind, expected) in zip(
        BLOCKS, [*BLOCKS[1:], ("", "")], strict=True
    ):
        if kind != "sh":
            continue
        printed = run(block, live_server, key)
        if next_kind == "json":
            shown += 1
            assert json.loads(printed) == json.loads(expected)
        elif "settings" not in block:
            assert printed.count('{"success": true}') == (2 if "for " in block else 1)
    assert shown == 2
    names = sorted(Event.objects.filter(type="track").values_list("name", flat=True))
    assert names.count("Order Completed") == 1
    assert {"Signed Up", "Product Viewed", "Cart Updated", "Report Opened"} < set(names)
    assert RejectedEvent.objects.get().code == "missing_event"


def test_the_python_block_runs(live_server):
    (block,) = (text for kind, text in BLOCKS if kind == "python")
    exec(block, {"write_key": write_key(), "host": live_server.url})
    assert sorted(Event.objects.values_list("type", flat=True)) == ["identify", "track"]
