"""PostgreSQL servers of a test's own, their backups, and servers made of backups."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from emailtriggers import embedded
from emailtriggers.postgres import Postgres, _as_user, binaries
from tests.e2e.product import wait_for

POINT: Final = "before_the_loss"


class Server:
    """One server in a folder, which archives its log of changes beside it."""

    def __init__(self, folder: Path, **parameters: str) -> None:
        """Name the folder; nothing is started. Parameters are PostgreSQL's own."""
        self.folder = folder
        self.archive = folder / "archive"
        self.postgres = Postgres(
            folder / "data",
            log=folder / "log",
            parameters={
                "archive_mode": "on",
                "archive_command": f"cp %p {self.archive}/%f",
                **parameters,
            },
        )

    @property
    def url(self) -> str:
        """The DATABASE_URL of the product's database on it."""
        return embedded.url(self.postgres.data)

    def start(self) -> "Server":
        """Start it, with an empty database if it has none."""
        self.archive.mkdir(parents=True, exist_ok=True)
        self.archive.chmod(0o777)
        self.postgres.start()
        wait_for(lambda: not self.ask("SELECT pg_is_in_recovery()"), "recovered")
        self.postgres.ensure_database()
        return self

    def ask(self, query: str) -> object:
        """Return the one value of a query."""
        with psycopg.connect(
            embedded.url(self.postgres.data, "postgres"), autocommit=True
        ) as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None

    def run(self, tool: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own tools against it."""
        done = subprocess.run(
            [
                str(binaries() / tool),
                *(f"--host={self.postgres.socket_dir}", f"--username={embedded.USER}"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.archive,
            **_as_user(),
        )
        assert done.returncode == 0, done.stderr

    # --- a dump ---------------------------------------------------------------

    def dump(self) -> None:
        """Dump the database as it is now."""
        file = f"--file={self.archive / 'dump'}"
        self.run("pg_dump", "--format=custom", file, embedded.DATABASE)

    def restored_from_dump(self) -> str:
        """Put the dump into a new database; return that one's DATABASE_URL."""
        self.run("createdb", "restored")
        self.run("pg_restore", "--dbname=restored", str(self.archive / "dump"))
        return embedded.url(self.postgres.data, "restored")

    # --- a point in time --------------------------------------------------------

    def back_up(self) -> None:
        """Copy the whole server as it runs."""
        copy = f"--pgdata={self.archive / 'base'}"
        self.run("pg_basebackup", "--checkpoint=fast", copy)

    def mark(self) -> None:
        """Name this point in time."""
        self.ask(f"SELECT pg_create_restore_point('{POINT}')")

    def restored_to_mark(self, folder: Path) -> "Server":
        """Return a server, not started, that goes from the copy to the named point."""
        made = Server(
            folder,
            restore_command=f"cp {self.archive}/%f %p",
            recovery_target_name=POINT,
            recovery_target_action="promote",
        )
        folder.mkdir()
        shutil.move(self.archive / "base", made.postgres.data)
        signal = made.postgres.data / "recovery.signal"
        signal.touch()
        return made


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Have a server in the folder until the end of the block."""
    made = Server(folder)
    try:
        yield made.start()
    finally:
        made.postgres.stop()
