"""Keeps the django-q2 clusters working, by watching work rather than processes.

Stock django-q2 wedges for ever when one idle worker is killed, and looks healthy
all the while. So each cluster gets a canary every two seconds, through broker,
queue, worker and row; when none comes back, its whole process group is replaced.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from django.conf import settings
from django.db import ProgrammingError, connection
from django.db.models import F
from django.db.models.functions import Now

from campaigns.deciding import incarnation
from campaigns.deciding.database import DatabaseAway
from campaigns.management.processes import Child, kill_orphans, stop_all
from campaigns.models import ClusterBeat
from campaigns.queue import DATABASE_ERRORS, own_queue, purge, send

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.25
CANARY_S: Final = 2.0
MARK: Final = "EMAILTRIGGERS_CLUSTER"


class Watched:
    """One cluster: its process group, and when its canary last came back."""

    def __init__(self, name: str, manage: Path) -> None:
        """Name the cluster; nothing is started."""
        self.name = name
        self.beat = own_queue(name)
        self.child = Child(
            name,
            # The supervisor's own start has checked everything.
            [sys.executable, str(manage), "qcluster", "--skip-checks"],
            environment={
                "Q_CLUSTER_NAME": name,
                "PROCESS_NAME": f"cluster {name}",
                MARK: str(settings.VAR_DIR),
            },
            folder=manage.parent,
        )
        self._seen_n = -1
        self._sent_n: int | None = None  # of this supervisor
        self._has_company = False
        self._has_begun = False
        self._fresh_at = time.monotonic()
        self._restarts = 0  # that the row does not know of yet

    def start(self) -> None:
        """Start, with a full span of patience."""
        self.refresh()
        self.child.start()

    def keep_running(self) -> None:
        """Start what was not started yet, or ended."""
        if self.child.pid is None:
            self.start()
            return
        code = self.child.restart_when_dead()
        if code is not None:
            logger.warning("cluster %s ended (%s); restarting", self.name, code)
            self.refresh()
            self.begin_again()

    def begin(self) -> None:
        """Drop the canaries that fly or came back: only later ones show work."""
        purge(self.beat)
        ClusterBeat.begin(self.beat)
        self._has_begun = True

    def begin_again(self) -> None:
        """Count a restart, and let the next canary be the first one that counts."""
        self._restarts += 1
        self._has_begun = False

    def refresh(self) -> None:
        """Begin the span of patience anew."""
        self._fresh_at = time.monotonic()

    def send_canary(self) -> None:
        """Send the next canary, and note whether an earlier one came back."""
        if not self._has_begun:
            self.begin()
        row, _ = ClusterBeat.objects.get_or_create(name=self.beat)
        if row.seen_n != self._seen_n:
            self._seen_n = row.seen_n
            self.refresh()
        self._look_for_company(row.sent_n)
        self._sent_n = n = row.sent_n + 1
        ClusterBeat.objects.filter(pk=row.pk).update(
            sent_n=n, sent_at=Now(), restarts=F("restarts") + self._restarts
        )
        self._restarts = 0
        send("campaigns.tasks.canary", self.beat, n, queue=self.beat)

    def _look_for_company(self, sent_n: int) -> None:
        """Say once if somebody else sends canaries in this name.

        Two hosts of one name hide each other's silence, and empty each other's queue.
        """
        is_alone = self._sent_n is None or sent_n <= self._sent_n
        if is_alone or self._has_company:
            return
        self._has_company = True
        logger.error(
            "another supervisor sends canaries as %s: give each host a CLUSTER_HOST "
            "of its own",
            self.beat,
        )

    def is_stale(self) -> bool:
        """Return whether no canary came back for longer than work may take."""
        return time.monotonic() - self._fresh_at > settings.CLUSTER_STALE_S

    def replace(self) -> None:
        """Kill the group; the next look starts it again."""
        self.child.kill_group()
        self.begin()
        self.refresh()


class Supervisor:
    """The clusters of one host, from start to stop."""

    def __init__(self, names: Sequence[str], *, manage: Path, grace_s: float) -> None:
        """Name the clusters, the manage.py that runs them, and the grace at the end."""
        self.watched = [Watched(name, manage) for name in names]
        self.grace_s = grace_s
        self._signals = 0
        self._away = False
        self._canary_at = 0.0

    def run(self) -> None:
        """Start all, look after them until SIGTERM or SIGINT, stop in good order."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)
        orphans = kill_orphans(MARK, str(settings.VAR_DIR))
        if orphans:
            logger.warning(
                "ended %s processes of a supervisor that was killed", orphans
            )
        self._with_database(self._begin)
        while not self._signals:
            self.look()
            time.sleep(LOOK_S)
        before = self._signals
        stop_all(
            [w.child for w in self.watched],
            grace_s=self.grace_s,
            hurry=lambda: self._signals > before,
        )
        self._with_database(self._begin)  # who asks now must not hear of a living one

    def look(self) -> None:
        """Start what is not there, replace what is stale; send canaries in time.

        Without its database a cluster only dies, and again: it is started once the
        database answers, and the canaries tell when that is so again.
        """
        for watched in self.watched:
            gone = watched.child.has_exited()
            if gone and not self._away and self._with_database(incarnation.confirm):
                watched.keep_running()
        if time.monotonic() < self._canary_at + CANARY_S:
            return
        self._canary_at = time.monotonic()
        if not self._with_database(self._canaries):
            # Without the database no canary can fly: nobody is to blame.
            for watched in self.watched:
                watched.refresh()

    def _canaries(self) -> None:
        incarnation.confirm()  # a beat in a restored database would be a false date
        for watched in self.watched:
            watched.send_canary()
            if watched.is_stale():
                logger.error(
                    "cluster %s did no work for %s s; replacing it",
                    watched.name,
                    settings.CLUSTER_STALE_S,
                )
                watched.replace()

    def _begin(self) -> None:
        incarnation.confirm()
        for watched in self.watched:
            watched.begin()

    def _with_database(self, work: Callable[[], None]) -> bool:
        """Do the work; return False, and say so once, if the database is away."""
        try:
            work()
        except (DatabaseAway, *DATABASE_ERRORS) as error:
            if not self._away:
                logger.warning("%s", _told(error))
            self._away = True
            connection.close()
            return False
        if self._away:
            logger.warning("the database is back")
        self._away = False
        return True

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._signals += 1


def _told(error: Exception) -> str:
    """Return why there is no work with the database, and what mends it."""
    if isinstance(error, ProgrammingError):
        return (
            "the tables are older than this release: run manage.py migrate "
            f"({' '.join(str(error).split())})"
        )
    if isinstance(error, DatabaseAway):
        return str(error)
    return f"the database is away: {error}"
