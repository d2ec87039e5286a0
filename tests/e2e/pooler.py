"""PgBouncer as ops/pgbouncer sets it up, between the product and a server of the test's."""

import configparser
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest

from campaigns.management.processes import dies_with_parent
from emailtriggers.postgres import Postgres, _as_user, _own
from tests.e2e.product import ROOT, free_port, wait_for

SHIPPED: Final = ROOT / "ops" / "pgbouncer" / "pgbouncer.ini"


class Pooler:
    """One PgBouncer, and where it leads."""

    def __init__(self, folder: Path, postgres: Postgres, **changes: str) -> None:
        """Take the file of ops/, but for addresses, the log-in and these changes."""
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            pytest.skip("there is no pgbouncer")
        self.program, self.folder = program, folder
        self.port = free_port()
        self.log = folder / "pgbouncer.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = configparser.ConfigParser(interpolation=None)
        self._settings.read_string(SHIPPED.read_text())
        at = f"host={postgres.socket_dir} user=postgres"
        self._settings["databases"] = {"emailtriggers": f"{at} dbname=emailtriggers"}
        self._settings["pgbouncer"].update(
            {
                "listen_addr": "127.0.0.1",
                "listen_port": str(self.port),
                "unix_socket_dir": "",
                "auth_type": "any",
                "default_pool_size": "4",  # so that servers change hands all the time
                **changes,
            }
        )
        del self._settings["pgbouncer"]["auth_file"]

    @property
    def url(self) -> str:
        """The DATABASE_URL that leads through it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/emailtriggers"

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
        wait_for(self._answers, f"the pooler answers, see {self.log}")
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url):
            return True
        return False


@contextmanager
def pooler(folder: Path, postgres: Postgres, **changes: str) -> Iterator[Pooler]:
    """Have a pooler until the end of the block."""
    made = Pooler(folder, postgres, **changes)
    try:
        yield made.start()
    finally:
        made.stop()
