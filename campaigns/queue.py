"""The seam to django-q2, and the only module that knows it.

The queue is a wake-up, never the record: the broker looks whether rows are due and
hands out tasks that work them off. A task lost costs milliseconds.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final
from uuid import uuid4

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.signing import SignedPackage
from django_q.tasks import async_task

logger = logging.getLogger(__name__)

TICK_S: Final = 0.05
QUEUE_TICK_S: Final = 0.25
AWAY_S: Final = 0.5
DATABASE_ERRORS: Final = (DatabaseError, InterfaceError, psycopg.Error)

Package = tuple[int, str]  # django-q2's acknowledgement id, and the signed task


class DueBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """Turns due rows into tasks, beside the few tasks of django-q2's own table.

    A task that stands for due rows has the acknowledgement id 0, so that django-q2
    neither acknowledges nor repeats it: the rows are still there if it fails.
    How many wait is bounded by `queue_limit`, on which the pusher blocks.
    """

    def __init__(self, list_key: str | None = None) -> None:
        """Take the cluster's name; without one, that of this process."""
        super().__init__(list_key=list_key)
        self._tick = 0.0
        self._queue_tick = 0.0
        self._ran: dict[str, float] = {}
        self._away = False

    def enqueue(self, task: str) -> int:
        """Put a signed task into django-q2's table, due by the database's clock."""
        row = OrmQ.objects.create(key=self.list_key, payload=task, lock=Now())
        return int(row.pk)

    def dequeue(self) -> list[Package]:
        """Return the tasks to run now; waits one tick, or half a second on errors.

        An exception here would make django-q2 stop for ten seconds, so a database
        that is away is an empty answer.
        """
        self._wait_for_tick()
        try:
            found = [*self._periodic(), *self._due(), *self._queued()]
        except DATABASE_ERRORS as error:
            self._lost(error)
            return []
        if self._away:
            logger.warning("%s: the database is back", self.list_key)
            self._away = False
        return found

    @cached_property
    def _spec(self) -> dict[str, object]:
        return dict(settings.CLUSTERS.get(self.list_key, {}))

    @cached_property
    def _probe(self) -> Callable[[], bool] | None:
        path = self._spec.get("probe")
        return import_string(path) if isinstance(path, str) else None

    def _wait_for_tick(self) -> None:
        pause = self._tick + TICK_S - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._tick = time.monotonic()

    def _periodic(self) -> list[Package]:
        every = self._spec.get("every")
        found = []
        for path, seconds in every.items() if isinstance(every, dict) else ():
            if self._tick >= self._ran.get(path, float("-inf")) + seconds:
                self._ran[path] = self._tick
                found.append(package(path))
        return found

    def _due(self) -> list[Package]:
        if self._probe is None or not self._probe():
            return []
        return [package(str(self._spec["task"]))]

    def _queued(self) -> list[Package]:
        if self._tick < self._queue_tick + QUEUE_TICK_S:
            return []
        self._queue_tick = self._tick
        waiting = OrmQ.objects.filter(
            key__in=[self.list_key, own_queue(self.list_key)], lock__lte=Now()
        )
        return [
            (row.pk, row.payload)
            for row in waiting.order_by("pk")[: Conf.BULK]
            if self._take(row)
        ]

    def _take(self, row: OrmQ) -> bool:
        """Return whether the row is ours, and not another host's that was faster."""
        later = Now() + timedelta(seconds=Conf.RETRY)
        mine = OrmQ.objects.filter(pk=row.pk, lock=row.lock).update(lock=later)
        return bool(mine)

    def _lost(self, error: Exception) -> None:
        if not self._away:
            logger.warning("%s: the database is away: %s", self.list_key, error)
            self._away = True
        connection.close()
        time.sleep(AWAY_S)


def package(path: str, *, started: datetime | None = None) -> Package:
    """Return a task for the function at `path` that is never saved or repeated."""
    task = {
        "id": uuid4().hex,
        "name": path.rpartition(".")[2],
        "func": path,
        "args": (),
        "kwargs": {},
        "started": started or timezone.now(),
        "save": False,
    }
    return 0, SignedPackage.dumps(task)


def own_queue(cluster: str) -> str:
    """Return the queue that only this host's cluster of that name reads."""
    return f"{cluster}@{settings.CLUSTER_HOST}"


def send(path: str, *args: object, queue: str) -> None:
    """Queue a call of the function at `path`; it may run late, twice or never."""
    async_task(path, *args, cluster=queue, save=False)


def purge(queue: str) -> int:
    """Drop what waits in a queue; return how many tasks that were."""
    return int(OrmQ.objects.filter(key=queue).delete()[0])


def forget_failures(*, before: datetime) -> int:
    """Drop django-q2's notes of tasks that ended before then; return how many."""
    return int(Task.objects.filter(stopped__lt=before).delete()[0])
