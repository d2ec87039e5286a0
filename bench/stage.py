"""The run's own PostgreSQL, and databases in it, each a copy of a migrated one.

Importable before Django is set up: `Stage` sets the environment that it needs.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from emailtriggers import embedded
from emailtriggers.postgres import Postgres

MIGRATED: Final = "bench_base"
PARAMETERS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
}
SECRET: Final = "the secret of a database that is gone when the run ends"  # noqa: S105
NOT_OURS: Final = (
    "SENDGRID_API_KEY", "SENDGRID_HOST", "PUBLIC_URL", "DEMO_SPEED", "CACHE_URL",
    "ALLOWED_HOSTS", "TRUSTED_PROXIES",
)  # fmt: skip


class Stage:
    """A folder with a server; gone at the end of `with`, however the run ends."""

    def __init__(self) -> None:
        """Make the folder; nothing is started."""
        self.folder = Path(tempfile.mkdtemp(prefix="et-bench-"))
        self.folder.chmod(0o711)  # as root the server runs as another user
        self.postgres = Postgres(
            self.folder / "data", log=self.folder / "log", parameters=PARAMETERS
        )
        self._made = 0

    def __enter__(self) -> "Stage":
        try:
            self.postgres.start()
            self.postgres.ensure_database(MIGRATED)
        except BaseException:
            self._clear()
            raise
        for name in NOT_OURS:
            os.environ.pop(name, None)
        os.environ |= {
            "DATABASE_URL": self.url(MIGRATED),
            "SECRET_KEY": SECRET,
            "VAR_DIR": str(self.folder / "var"),
            "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
            "LOG_LEVEL": "ERROR",
            "CLUSTER_HOST": "bench",
            "PYTHONWARNINGS": "ignore",
        }
        return self

    def __exit__(self, *_error: object) -> None:
        self._clear()

    def _clear(self) -> None:
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the DATABASE_URL of a database here."""
        return embedded.url(self.postgres.data, database)

    @property
    def pid(self) -> int:
        """Return the postmaster's process."""
        assert self.postgres.process is not None  # noqa: S101 - it was started
        return self.postgres.process.pid

    @contextmanager
    def copy(self, purpose: str) -> Iterator[str]:
        """Make a copy of the migrated database, give its name, and drop it."""
        self._made += 1
        name = f"bench_{purpose}_{self._made}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._run(create.format(sql.Identifier(name), sql.Identifier(MIGRATED)))
        try:
            yield name
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            self._run(drop.format(sql.Identifier(name)))

    @contextmanager
    def empty(self, purpose: str) -> Iterator[str]:
        """Make a database without tables, give its DATABASE_URL, and drop it."""
        name = f"bench_{purpose}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url(name)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            self._run(drop.format(sql.Identifier(name)))

    def ask(self, query: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows of a query, asked on a connection of its own."""
        with self._connected(database) as connection:
            return connection.execute(query.encode()).fetchall()

    def _run(self, statement: sql.Composed) -> None:
        with self._connected("postgres") as connection:
            connection.execute(statement)

    def _connected(self, database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            host=str(self.postgres.socket_dir),
            user=embedded.USER,
            dbname=database,
            autocommit=True,
        )
