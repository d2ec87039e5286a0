"""What the supervisor knows of its clusters."""

from django.db import models


class ClusterBeat(models.Model):
    """The canary of one cluster: sent by the supervisor, seen by a worker."""

    name = models.CharField(max_length=60, unique=True)
    sent_n = models.BigIntegerField(default=0)
    seen_n = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
