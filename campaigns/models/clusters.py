"""What the supervisor knows of its clusters."""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Now

ON_THE_WAY: Final = timedelta(seconds=5)  # a canary that was just sent


def is_recent(at: datetime | None, now: datetime) -> bool:
    """Return whether a sign of life from then still counts, for all who ask."""
    patience = timedelta(seconds=settings.CLUSTER_STALE_S) + ON_THE_WAY
    return at is not None and now - at < patience


class ClusterBeat(models.Model):
    """The canary of one cluster: sent by the supervisor, seen by a worker.

    `seen_at` is empty until one came back that was sent since the cluster began.
    `sent_at` outlives a stop: it says when the supervisor was last there.
    `restarts` counts those that nobody asked for.
    """

    name = models.CharField(max_length=60, unique=True)
    sent_n = models.BigIntegerField(default=0)
    seen_n = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    restarts = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def works(self, now: datetime) -> bool:
        """Return whether a canary came back lately."""
        return is_recent(self.seen_at, now)

    def away(self, now: datetime) -> timedelta | None:
        """Return since when no canary came back; None if that is not known yet.

        After a stop, since the last one was sent. While the supervisor sends, that
        says nothing of the cluster, which may be starting.
        """
        if self.seen_at is not None:
            return now - self.seen_at
        if self.sent_at is None or is_recent(self.sent_at, now):
            return None
        return now - self.sent_at

    @classmethod
    def begin(cls, name: str) -> None:
        """Believe no canary that was sent until now: it speaks for an earlier run."""
        cls.objects.filter(name=name).update(seen_n=F("sent_n"), seen_at=None)

    @classmethod
    def came_back(cls, name: str, n: int) -> None:
        """Note canary number `n`, unless a later one was seen, or a run began since."""
        cls.objects.filter(name=name, seen_n__lt=n).update(seen_n=n, seen_at=Now())
