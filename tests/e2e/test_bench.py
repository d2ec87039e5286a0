"""`make bench QUICK=1`: every scenario's own checks, and no speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as command

ROOT = Path(__file__).parents[2]
GROUPS = {
    "decisions": ("ingest", "dup", "poison", "stored", "rules"),
    "http": ("web", "batches", "hot", "caches"),
    "timers": ("timers", "claims", "due"),
    "mails": ("sends", "tls", "webhooks", "peer"),
    "product": ("memory",),
}
# What no client, server or database of the bench's must find in its environment.
NOT_OURS = ("DATABASE_URL", "SECRET_KEY", "VAR_DIR", "DJANGO_SETTINGS_MODULE")


def bench(*arguments):
    kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_every_scenario_is_in_a_group():
    assert sorted(command.NAMES) == sorted(n for g in GROUPS.values() for n in g)


@pytest.mark.parametrize("group", GROUPS, ids=list(GROUPS))
def test_what_is_measured_is_right(group, tmp_path):
    written = tmp_path / "result.json"
    done = bench(
        "--quick", "--no-history", "--json", str(written), "--only", *GROUPS[group]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(written.read_text())
    assert found["schema"] == 2
    assert found["wrong"] == []
    assert found["host"]["pg"]
    assert found["ratios"]
    assert all(row["n"] > 0 for row in found["results"])


def test_an_unknown_scenario_is_refused_before_anything_starts():
    done = bench("--only", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
