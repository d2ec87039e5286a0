"""Who may post events, and what was refused."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.domain.events import Trust
from campaigns.models.columns import choices, one_of


class Source(models.Model):
    """A backend, browser snippet or platform that reports events."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=30, default="segment")
    trust = models.CharField(
        max_length=10,
        choices=choices(Trust),
        default=Trust.SECRET,
        help_text=_(
            "Public keys stand in web pages: anyone can post with them, so they "
            "start only rules marked for public sources and never change the "
            "address of a known customer."
        ),
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [one_of("trust", Trust, name="source_trust_known")]

    def __str__(self) -> str:
        return self.name


class SourceKey(models.Model):
    """A write key of a source; only its hash is kept, so it is shown once."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="keys")
    key_hash = models.BinaryField(unique=True, max_length=32)
    prefix = models.CharField(max_length=12)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class RejectedEvent(models.Model):
    """An event that was refused, with the reason that its sender can act on."""

    received_at = models.DateTimeField()
    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="rejected_events"
    )
    code = models.CharField(max_length=60)
    detail = models.TextField()
    path = models.TextField(blank=True)
    message_id = models.TextField(blank=True)
    body = models.TextField(blank=True)

    class Meta:
        ordering = ["-received_at", "-id"]
        indexes = [
            # The admin's list and retention, newest first.
            models.Index(fields=["-received_at", "-id"], name="rejected_recent_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.path}".strip()


class RefusedCount(models.Model):
    """How many requests without a valid key came in an hour; their bodies are not kept."""

    hour = models.DateTimeField()
    reason = models.CharField(max_length=40)
    count = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = verbose_name_plural = "refused requests"
        ordering = ["-hour"]
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "reason"], name="refusedcount_once_an_hour"
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.reason}"
