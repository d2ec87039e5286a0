"""What processes count together, through kills and forks, without ever losing it."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = """
import os, sys
import django
django.setup()
from campaigns.metrics import counted, shared
def events():
    return sum(s.value for m in counted.collected() for s in m.samples
               if s.name == "emailtriggers_events_total")
"""


@contextmanager
def process(folder, code, **environment):
    """A process of the product that runs this code and is killed at the end."""
    started = subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
            "VAR_DIR": str(folder),
            "PROCESS_NAME": "web",
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGKILL)
        started.communicate()


def says(started):
    return started.stdout.readline().strip()


COUNT = """
counted.EVENTS.labels("segment", "accepted").inc({n})
print(shared.place(), flush=True)
sys.stdin.read()
"""
LOOK = "print(events(), flush=True)"


def test_all_processes_of_a_host_are_summed_and_outlive_a_kill(tmp_path):
    with process(tmp_path, COUNT.format(n=3)) as one:
        first = says(one)
        with process(tmp_path, COUNT.format(n=4)) as other:
            assert says(other) != first
            with process(tmp_path, LOOK) as reader:
                assert says(reader) == "7.0"
    with process(tmp_path, COUNT.format(n=5)) as heir:
        assert says(heir) == first
        with process(tmp_path, LOOK) as reader:
            assert says(reader) == "12.0"
    made = list((tmp_path / "metrics").glob("*/counter_*.db"))
    assert len(made) == 3  # as many as lived at once, not as there ever were


def test_a_forked_child_counts_in_a_place_of_its_own(tmp_path):
    code = """
counted.EVENTS.labels("segment", "accepted").inc()
mine = shared.place()
if os.fork() == 0:
    counted.EVENTS.labels("segment", "accepted").inc()
    os._exit(shared.place() == mine)
_, status = os.wait()
counted.EVENTS.labels("segment", "accepted").inc()
print(status, shared.place() == mine, events(), flush=True)
"""
    with process(tmp_path, code) as parent:
        assert says(parent) == "0 True 3.0"


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path):
    blocked = tmp_path / "var"
    blocked.mkdir()
    (blocked / "metrics").write_text("a file stands where the folder should be")
    (blocked / "secret_key").write_text("k" * 64)
    code = 'counted.EVENTS.labels("segment", "accepted").inc(2)\n' + LOOK
    with process(blocked, code) as alone:
        assert says(alone) == "2.0"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("accepted", "accepted"),
        ("rate_limited", "rate_limited"),
        ("ada@example.com", "other"),
        ("", "other"),
        ("x" * 41, "other"),
        ('a"\n', "other"),
    ],
    ids=["word", "words", "address", "nothing", "long", "quote"],
)
def test_a_label_is_a_plain_word(text, label):
    from campaigns.metrics.counted import word

    assert word(text) == label
