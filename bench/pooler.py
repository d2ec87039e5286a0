"""PgBouncer as ops/pgbouncer sets it up, before a PostgreSQL of a test or of the bench."""

import configparser
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from bench.ports import free_port
from campaigns.management.processes import dies_with_parent
from emailtriggers.postgres import Postgres, _as_user, _own

SHIPPED: Final = Path(__file__).parents[1] / "ops" / "pgbouncer" / "pgbouncer.ini"
FEW: Final = "4"  # servers of a pool, so that they change hands all the time
WITHIN_S: Final = 20.0


class NoPooler(Exception):
    """PgBouncer is not installed, or does not start."""


class Pooler:
    """One PgBouncer, and where it leads."""

    def __init__(
        self, folder: Path, server: str, *, address: str = "127.0.0.1", **changes: str
    ) -> None:
        """Take the file of ops/, but for addresses, the log-in and these changes.

        `server` says where PostgreSQL is, in the words of PgBouncer.
        """
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            raise NoPooler("there is no pgbouncer")
        self.program, self.folder = program, folder
        self.address, self.port = address, free_port()
        self.log = folder / "pgbouncer.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = configparser.ConfigParser(interpolation=None)
        self._settings.read_string(SHIPPED.read_text())
        shipped = self._settings["databases"]["emailtriggers"]
        _, _, more = shipped.partition("dbname=emailtriggers")
        self._settings["databases"] = {"*": f"{server} user=postgres{more}"}
        self._settings["pgbouncer"].update(
            {
                "listen_addr": address,
                "listen_port": str(self.port),
                "unix_socket_dir": "",
                "auth_type": "any",
                **changes,
            }
        )
        del self._settings["pgbouncer"]["auth_file"]

    @property
    def url(self) -> str:
        """The DATABASE_URL that leads through it."""
        return f"postgresql://postgres@{self.address}:{self.port}/emailtriggers"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None  # noqa: S101 - it was started
        return self._process.pid

    def ask(self, command: str) -> list[dict[str, Any]]:
        """Return what its console answers, such as SHOW CLIENTS."""
        url = self.url.replace("/emailtriggers", "/pgbouncer")
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as console:
            return console.execute(command).fetchall()

    def start(self) -> "Pooler":
        """Start it, and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "pgbouncer.ini"
        with file.open("w") as written:
            self._settings.write(written)
        _own(self.folder)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(signal.SIGTERM),
                **_as_user(),
            )
        end = time.monotonic() + WITHIN_S
        while not self._answers():
            if time.monotonic() > end:
                raise NoPooler(self.log.read_text())
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        url = self.url.replace("/emailtriggers", "/postgres")
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return True
        return False


def beside(postgres: Postgres) -> str:
    """Return where a PostgreSQL of the same machine is."""
    return f"host={postgres.socket_dir}"


@contextmanager
def pooler(folder: Path, postgres: Postgres, **changes: str) -> Iterator[Pooler]:
    """Have a pooler of few servers until the end of the block."""
    made = Pooler(folder, beside(postgres), **{"default_pool_size": FEW, **changes})
    try:
        yield made.start()
    finally:
        made.stop()
