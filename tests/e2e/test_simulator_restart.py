"""What the simulator has not told yet, it tells after it was killed, once."""

import json
import signal
import subprocess
import sys

import psutil
import pytest

from campaigns.management.processes import dies_with_parent
from demo.sendgrid_simulator import Simulator
from demo.sendgrid_simulator.journal import KEPT_LINES, Journal
from demo.sendgrid_simulator.store import DataFolderInvalid
from tests.e2e.product import ROOT, free_port, wait_for
from tests.e2e.test_sendgrid_simulator import Hook, call, send

pytestmark = pytest.mark.crash


class Process:
    """The simulator in a process of its own; `url` is all that `call` needs."""

    def __init__(self, folder, webhook):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "demo.sendgrid_simulator"),
                *("--port", str(self.port), "--data", str(folder)),
                *("--webhook", webhook),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it serves

    def end(self, signum):
        self.process.send_signal(signum)
        self.process.wait(20)
        self.process.stdout.close()

    def pending(self):
        return call(self, "GET", "/api/webhook").json()["pending"]


@pytest.fixture
def start(tmp_path):
    """Start a simulator on this test's folder; whatever is left ends with the test."""
    made = []

    def begin(webhook):
        made.append(Process(tmp_path, webhook))
        return made[-1]

    yield begin
    for each in made:
        if each.process.poll() is None and psutil.pid_exists(each.process.pid):
            each.end(signal.SIGKILL)


def ids(bodies):
    return sorted(event["sg_event_id"] for body in bodies for event in json.loads(body))


@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"]
)
def test_what_nobody_took_is_posted_after_the_next_start(start, signum):
    with Hook(*[503] * 200) as away:
        first = start(away.url)
        for _ in range(5):
            assert send(first).status == 202
        away.got.get(timeout=10)
        made = call(first, "GET", "/api/messages").json()
        first.end(signum)
    told = sorted(e["sg_event_id"] for mail in made for e in mail["events"])
    assert len(told) == 10

    with Hook() as back:
        second = start(back.url)
        wait_for(lambda: second.pending() == 0, "all told")
        bodies = [back.got.get_nowait()[1] for _ in range(back.got.qsize())]
        assert ids(bodies) == told
        second.end(signum)

    with Hook() as silent:
        third = start(silent.url)
        assert third.pending() == 0
        assert send(third).status == 202
        wait_for(lambda: third.pending() == 0, "the new one told")
        bodies = [silent.got.get_nowait()[1] for _ in range(silent.got.qsize())]
        assert len(ids(bodies)) == 2, "nothing is told again"
        assert not set(ids(bodies)) & set(told)
        third.end(signum)


def test_the_line_that_a_crash_cut_is_left_out(tmp_path):
    path = tmp_path / "webhooks.jsonl"
    journal = Journal(path)
    journal.add([{"event": "open"}], at=1.0)
    journal.close()
    with path.open("a") as file:
        file.write('{"n": 2, "at": 1.0, "ev')
    again = Journal(path)
    assert [kept.event for kept in again.waiting()] == [{"event": "open"}]
    again.add([{"event": "click"}], at=2.0)
    again.close()
    names = [kept.event["event"] for kept in Journal(path).waiting()]
    assert names == ["open", "click"]


def test_a_spoilt_journal_is_named(tmp_path):
    (tmp_path / "webhooks.jsonl").write_text('{"done": [1]}\nspoilt\n{"done": [2]}\n')
    with pytest.raises(DataFolderInvalid, match=r"webhooks\.jsonl, line 2"):
        Simulator(data=tmp_path)


def test_the_file_stays_small_however_much_is_told(tmp_path):
    path = tmp_path / "webhooks.jsonl"
    journal = Journal(path)
    last = journal.add([{"event": "last"}], at=1.0)
    for _ in range(KEPT_LINES):
        journal.done(journal.add([{"event": "open"}], at=1.0))
    assert len(path.read_text().splitlines()) <= KEPT_LINES + 1
    assert Journal(path).waiting() == last
    journal.close()


def test_a_simulator_without_a_folder_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    (kept,) = journal.add([{"event": "open"}], at=1.0)
    assert kept.event == {"event": "open"}
    journal.done([kept])
    assert list(tmp_path.iterdir()) == []
