"""Everything on one machine: database, web, clusters, simulator; until Ctrl-C."""

import logging
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Final

from django.conf import settings

from campaigns.management.processes import (
    Child,
    dies_with_parent,
    kill_orphans,
    stop_all,
)
from emailtriggers.postgres import Postgres, PostgresBroken
from emailtriggers.serving import command

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.25
GRACE_S: Final = 5.0  # with the other two far below ten seconds, also on a busy machine
WEB_KILL_S: Final = 5
SIMULATOR_GRACE_S: Final = 0.5
POSTGRES_GRACE_S: Final = 2.0
DATABASE_TRIES: Final = 10
DATABASE_PAUSE_S: Final = 1.0
SIMULATOR: Final = "simulator"
MARK: Final = "EMAILTRIGGERS_RUN"


class PortTaken(Exception):
    """Something else listens where this product should."""


def check_port(name: str, port: int) -> None:
    """Raise PortTaken, saying what to do, if nobody can listen on the port."""
    _probe(port, socket.SO_REUSEADDR, instead=f"{name}={port + 1} make run")


def check_web_port() -> None:
    """Raise PortTaken if another program has the web's port.

    A second web process of ours may share it, as granian asks the system for that.
    """
    port = settings.PORT
    _probe(
        port, socket.SO_REUSEADDR, socket.SO_REUSEPORT, instead=f"set PORT={port + 1}"
    )


def _probe(port: int, *options: int, instead: str) -> None:
    family = socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        for option in options:
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind((settings.BIND, port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} on {settings.BIND} cannot be used: {error.strerror}. Stop "
                f"the program that has it, or choose another: {instead}"
            ) from None


def web() -> Child:
    """Return the web server: a worker a core, each with many threads."""
    return _child("web", command(kill_after_s=WEB_KILL_S)[1:])


def clusters() -> Child:
    """Return the supervisor of the clusters; what it would check, we have checked."""
    grace = str(GRACE_S - 1)
    return _child(
        "clusters", ["manage.py", "cluster", "--skip-checks", "--grace", grace]
    )


def simulator(webhook: str) -> Child:
    """Return the stand-in for SendGrid, which posts its events to `webhook`."""
    command = [
        *("-m", "demo.sendgrid_simulator", "--port", str(settings.INBOX_PORT)),
        *("--host", settings.BIND, "--webhook", webhook),
        *("--data", str(settings.VAR_DIR / "simulator")),
    ]
    return _child(SIMULATOR, command)


def _child(name: str, command: Sequence[str]) -> Child:
    return Child(
        name,
        [sys.executable, *command],
        environment={
            MARK: str(settings.VAR_DIR),
            "PROCESS_NAME": name,
            "LOG_FORMAT": settings.LOG_FORMAT,
            # Be it the simulator's: with DATABASE_URL clusters want it said.
            "SENDGRID_HOST": settings.SENDGRID_HOST,
        },
        folder=Path(settings.BASE_DIR),
    )


class Running:
    """The processes of one machine, from start to stop."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.postgres: Postgres | None = None
        self._signals = 0
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)

    def stopping(self) -> bool:
        """Return whether a signal asked us to stop."""
        return self._signals > 0

    def end_orphans(self) -> int:
        """Kill what a killed run left; return how many processes that were."""
        return kill_orphans(MARK, str(settings.VAR_DIR))

    def start_postgres(self) -> None:
        """Start the embedded database. Raises PostgresBroken."""
        self.postgres = Postgres(
            settings.EMBEDDED_PG_DIR,
            log=settings.VAR_DIR / "postgres.log",
            dies_with_us=dies_with_parent(signal.SIGINT),
        )
        self._start_postgres()
        if not self.stopping():
            self.postgres.ensure_database()

    def start(self, children: Sequence[Child]) -> None:
        """Start these processes, to be looked after from now on."""
        for child in children:
            self.children.append(child)
            child.start()

    def watch(self) -> None:
        """Restart whatever ends, until a signal asks us to stop."""
        while not self.stopping():
            self.look()
            time.sleep(LOOK_S)

    def look(self) -> None:
        """Restart what is gone."""
        if self.postgres is not None and not self.postgres.is_running():
            self._restart_postgres()
        for child in self.children:
            code = child.restart_when_dead()
            if code is not None:
                logger.error("%s ended (%s); starting it again", child.name, code)

    def stop(self) -> None:
        """Stop all within ten seconds; leave no process.

        The simulator goes after those who are handing mails to it: a call that it
        cuts short leaves its mail `unknown`. The database goes last.
        """
        before = self._signals
        for grace_s, last in ((GRACE_S, False), (SIMULATOR_GRACE_S, True)):
            stop_all(
                [c for c in self.children if (c.name == SIMULATOR) is last],
                grace_s=grace_s,
                hurry=lambda: self._signals > before + 1,
            )
        self.end_orphans()
        if self.postgres is not None:
            self.postgres.stop(patience_s=POSTGRES_GRACE_S)

    def _start_postgres(self) -> None:
        assert self.postgres is not None  # noqa: S101 - both callers have set it
        self.postgres.start(say=logger.warning, stopping=self.stopping)

    def _restart_postgres(self) -> None:
        """Start the database that ran before, and again if it is killed meanwhile.

        Raises PostgresBroken once it has not started DATABASE_TRIES times in a row.
        """
        for left in reversed(range(DATABASE_TRIES)):
            logger.error("the database ended; starting it again")
            try:
                self._start_postgres()
            except PostgresBroken as error:
                if not left or self.stopping():
                    raise
                logger.warning("%s", error)
                time.sleep(DATABASE_PAUSE_S)
            else:
                return

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._signals += 1
