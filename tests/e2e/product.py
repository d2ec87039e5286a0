"""The whole product as `manage.py run` starts it: real processes, ports and data."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import psutil
import psycopg

from bench.ports import free_port
from campaigns.management.processes import dies_with_parent
from emailtriggers import embedded

ROOT: Final = Path(__file__).parents[2]
WITHIN_S: Final = 60.0
LOOK_S: Final = 0.05
NOT_OURS: Final = ("DATABASE_URL", "SENDGRID_API_KEY", "PUBLIC_URL", "DEMO_SPEED")

T = TypeVar("T")


def wait_for(
    what: Callable[[], T | None], why: str, *, within_s: float = WITHIN_S
) -> T:
    """Return the first true answer of `what`, asked again and again."""
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {why}"
        time.sleep(LOOK_S)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def managed(
    command: str, *, log: BinaryIO, environment: Mapping[str, str], tree: Path = ROOT
) -> "subprocess.Popen[bytes]":
    """Start a command of manage.py that ends with us."""
    return subprocess.Popen(
        [sys.executable, "manage.py", command],
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGTERM),
    )


class Product:
    """One installation in a folder of its own. Stopped, it can be started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Name the folder and what the environment sets beside ports and folder."""
        self.var = folder / "var"
        self.port = free_port()
        self.inbox_port = free_port()
        self.log = folder / "run.log"
        kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
        self.environment = {
            **kept,
            "VAR_DIR": str(self.var),
            "PORT": str(self.port),
            "INBOX_PORT": str(self.inbox_port),
            "WEB_WORKERS": "2",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.url = settings.get("DATABASE_URL") or embedded.url(self.var / "postgres")

    def use(self, url: str) -> None:
        """Have the next start use another database."""
        self.url = self.environment["DATABASE_URL"] = url

    # --- start and stop -----------------------------------------------------

    def start(self) -> float:
        """Start all and wait until all is well; return how many seconds that took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = managed("run", log=log, environment=self.environment)
        wait_for(self.is_ready, f"ready, see {self.log}")
        return time.monotonic() - began

    def interrupt(self) -> tuple[float, int, list[psutil.Process]]:
        """Press Ctrl-C: return seconds until the end, exit code, and who lives still."""
        assert self.process is not None
        members = self.members()
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        took = time.monotonic() - began
        return took, code, [p for p in members if is_alive(p)]

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self.process is None:
            return
        left = self.members()
        if self.process.poll() is None:
            left = self.interrupt()[2]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def is_ready(self) -> bool:
        """Return whether /readyz answers 200."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError, http.client.HTTPException):
            return self._ask(self.port, "GET", "/readyz")[0] == 200
        return False

    # --- its processes ------------------------------------------------------

    def members(self) -> list[psutil.Process]:
        """Return every process of it, the first one too."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            run = psutil.Process(self.process.pid)
            return [run, *run.children(recursive=True)]
        return []

    def part(self, name: str) -> list[psutil.Process]:
        """Return the processes of that name; none while they are away.

        Of the mail cluster: main, sentinel, workers, monitor (django-q2 makes
        the sentinel's children in this order; a replaced worker comes last).
        """
        with suppress(psutil.NoSuchProcess):
            return self._part(name)
        return []

    def _part(self, name: str) -> list[psutil.Process]:
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        if name == "postmaster":
            return [p for p in children if p.name() == "postgres"]
        if name == "web worker":
            # With setproctitle installed, granian makes its command one title.
            (web,) = [p for p in children if "granian" in " ".join(p.cmdline())]
            return in_order(web.children())
        mains = [
            process
            for supervisor in children
            if "cluster" in supervisor.cmdline()
            for process in supervisor.children()
            if process.environ().get("Q_CLUSTER_NAME") == "mail"
        ]
        if name == "main" or not mains:
            return mains
        sentinels = in_order(mains[0].children())[:1]
        if name == "sentinel" or not sentinels:
            return sentinels
        *workers, monitor, _pusher = in_order(sentinels[0].children())
        return {"worker": workers, "monitor": [monitor]}[name]

    # --- what it says -------------------------------------------------------

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query on its database."""
        with psycopg.connect(
            self.url, autocommit=True, connect_timeout=5
        ) as connection:
            return connection.execute(query, values or None).fetchall()

    def manage(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a management command beside it."""
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def key(self) -> str:
        """The write key of the sample source."""
        return (self.var / "write_key").read_text().strip()

    def set_faults(self, wanted: object) -> None:
        """Have the provider's simulator behave badly."""
        status, _ = self._ask(self.inbox_port, "PUT", "/api/faults", wanted)
        assert status == 200

    def inbox(self, path: str = "/api/messages?limit=10000") -> Any:
        """Return what the provider's simulator tells programs."""
        status, body = self._ask(self.inbox_port, "GET", path)
        assert status == 200, body
        return json.loads(body)

    def _ask(
        self, port: int, method: str, path: str, body: object = None
    ) -> tuple[int, bytes]:
        sent = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as to:
            to.request(method, path, sent, headers)
            answer = to.getresponse()
            return answer.status, answer.read()


def in_order(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the living ones as they were made."""
    alive = [p for p in processes if is_alive(p)]
    return sorted(alive, key=lambda p: (p.create_time(), p.pid))
