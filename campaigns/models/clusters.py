"""What the supervisor knows of its clusters."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F
from django.db.models.functions import Now


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

    def away(self, now: datetime, *, patience: timedelta) -> timedelta | None:
        """Return since when no canary came back; None if that is not known yet.

        After a stop, since the last one was sent. While the supervisor sends, that
        says nothing of the cluster, which may be starting.
        """
        if self.seen_at is not None:
            return now - self.seen_at
        if self.sent_at is None or now - self.sent_at < patience:
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
