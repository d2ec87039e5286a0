"""`manage.py run` from nothing, killed here and there, with damaged data."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import psutil
import pytest

from bench.ports import free_port

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
STARTED = "Ctrl-C stops."


def wait_for(what, *, within_s=60):
    """Return the first true answer of `what`, asked again and again."""
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.1)
    return found


def fetch(url, *, body=None, key=""):
    """Return (status, parsed JSON); (0, None) if nobody answers."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Basic " + b64encode(f"{key}:".encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, None


class Installation:
    """One VAR_DIR with its ports, and the process that runs it."""

    def __init__(self, var):
        self.var = var
        self.port, self.inbox_port = free_port(), free_port()
        self.web = f"http://127.0.0.1:{self.port}"
        self.inbox = f"http://127.0.0.1:{self.inbox_port}"
        self.output = var.with_name("output.txt")
        self.process = None

    def open(self, **environment):
        """Start `manage.py run`; its words go to the output file."""
        ours = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
        ours |= {
            "VAR_DIR": str(self.var),
            "PORT": str(self.port),
            "INBOX_PORT": str(self.inbox_port),
            "CLUSTER_STALE_S": "12",
            **environment,
        }
        with self.output.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT,
                env=ours,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start(self):
        self.process = self.open()
        wait_for(lambda: STARTED in self.output.read_text() or self.has_died())
        assert self.process.poll() is None, self.output.read_text()

    def has_died(self):
        return self.process.poll() is not None

    def interrupt(self):
        """Stop as Ctrl-C does; return the seconds that it took."""
        asked = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0
        return time.monotonic() - asked

    def is_ready(self):
        return fetch(f"{self.web}/readyz")[0] == 200

    def track(self, user, address):
        event = {
            "userId": user,
            "event": "Signed Up",
            "context": {"traits": {"email": address}},
        }
        key = (self.var / "write_key").read_text()
        return fetch(f"{self.web}/v1/track", body=event, key=key)

    def mails(self, address):
        return fetch(f"{self.inbox}/api/messages?to={address}")[1] or []

    def members(self):
        """Return every living process that works in or for this installation."""
        return [p for p in psutil.process_iter() if self._is_ours(p)]

    def _is_ours(self, process):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            at_home = process.cwd() == str(self.var / "postgres")
            return at_home or process.environ().get("VAR_DIR") == str(self.var)
        except psutil.Error:
            return False

    def has_another(self, words, before):
        """Return whether a process took the place of one that was killed."""
        try:
            return self.child(words).pid != before.pid
        except (StopIteration, psutil.Error):
            return False

    def child(self, words):
        """Return the first child of the runner with these words in its command."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(p for p in children if words in " ".join(p.cmdline()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("run")
    for step in (made, made.parent, made.parent.parent):
        step.chmod(step.stat().st_mode | 0o011)
    return made


@pytest.fixture
def installation(folder, tmp_path_factory):
    made = Installation(folder / f"var{len(list(folder.iterdir()))}")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(30)
    for process in made.members():
        process.kill()


def test_from_nothing_to_the_first_mail_through_crashes_to_a_clean_stop(installation):
    installation.start()
    said = installation.output.read_text()
    assert "login admin, password" in said
    assert (installation.var / "write_key").read_text() in said
    assert installation.track("u1", "ada@example.com") == (200, {"success": True})
    (mail,) = wait_for(lambda: installation.mails("ada@example.com"))
    assert mail["subject"].startswith("Welcome")

    database = installation.child("postgres -D")
    database.kill()
    wait_for(lambda: installation.has_another("postgres -D", database))
    wait_for(installation.is_ready)
    installation.child("granian").children()[0].kill()
    installation.child("sendgrid_simulator").kill()
    wait_for(lambda: installation.track("u2", "bob@example.com")[0] == 200)
    wait_for(lambda: installation.mails("bob@example.com"))

    assert installation.interrupt() < 10
    assert installation.members() == []

    installation.start()
    assert len(installation.mails("ada@example.com")) == 1, "kept, and not sent again"
    assert installation.interrupt() < 10
    assert installation.members() == []


def test_a_killed_runner_leaves_nothing_that_stops_the_next(installation):
    installation.start()
    installation.process.kill()
    installation.process.wait()
    installation.start()
    wait_for(installation.is_ready)


def test_a_damaged_data_folder_is_one_clear_sentence(installation):
    (installation.var / "postgres").mkdir(parents=True)
    (installation.var / "postgres" / "PG_VERSION").write_text("18\n")
    assert installation.open().wait(30) == 1
    said = installation.output.read_text().strip()
    assert "The embedded PostgreSQL in" in said
    assert "\n" not in said
    assert installation.members() == []
