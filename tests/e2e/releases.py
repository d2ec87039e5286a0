"""Releases: trees of code that run beside each other on one database."""

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.e2e.product import NOT_OURS, free_port, managed, wait_for

KEY: Final = "upgrade-write-key"
SEED: Final = f"from demo.seed import seed; seed(write_key={KEY!r}, live=True)"


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

    @property
    def port(self) -> int:
        """Where its web process listens."""
        return int(self.environment["PORT"])

    def run(self, *command: str) -> str:
        """Run a management command of it; return what it printed."""
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
        """Start web or cluster, and wait until it works."""
        with (self.folder / f"{part}.log").open("ab") as log:
            self.processes[part] = managed(
                part, log=log, environment=self.environment, tree=self.tree
            )
        if part == "web":
            wait_for(self.serves, f"{self.name} serves", within_s=90)
        else:
            wait_for(self.works, f"{self.name} works", within_s=120)

    def stop(self, part: str) -> None:
        """End it by SIGTERM, as its service would."""
        process = self.processes.pop(part)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM), f"{self.name} {part}"

    def kill(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def serves(self) -> bool:
        """Return whether its web process answers."""
        with (
            suppress(OSError, http.client.HTTPException),
            closing(
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            ) as to,
        ):
            to.request("GET", "/healthz")
            return to.getresponse().status == 200
        return False

    def works(self) -> bool:
        """Return whether both clusters' canaries came back lately."""
        url = self.environment["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM campaigns_clusterbeat WHERE name LIKE %s"
                " AND seen_at > clock_timestamp() - interval '10 seconds'",
                [f"%@{self.name}"],
            ).fetchone()
        return row is not None and row[0] == 2

    def logs(self) -> str:
        """Return what its processes said."""
        return "".join(p.read_text() for p in self.folder.glob("*.log"))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()
