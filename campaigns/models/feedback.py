"""Provider webhooks as they came, and the events read from them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from campaigns.models.columns import hot_key


class WebhookEndpoint(models.Model):
    """An address that a provider posts to; `slug` is the unguessable part."""

    slug = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=30, default="sendgrid")
    public_keys = ArrayField(models.TextField(), default=list)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.slug[:6]}…"

    def path(self) -> str:
        """Return the path to give to the provider."""
        return f"/webhooks/{self.kind}/{self.slug}"


class WebhookBatch(models.Model):
    """One POST, stored raw before it is answered; applied later, safely twice."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE)
    received_at = models.DateTimeField()
    body = models.BinaryField()
    attempts = models.SmallIntegerField(default=0)
    pending_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(default="", blank=True)
    summary = models.JSONField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook batches"
        ordering = ["-id"]
        indexes = [
            # The claim of batches that wait to be applied, oldest first.
            models.Index(
                fields=["pending_at"],
                name="webhookbatch_pending_idx",
                condition=Q(pending_at__isnull=False),
            ),
            # Retention.
            models.Index(fields=["received_at"], name="webhookbatch_received_idx"),
        ]

    def __str__(self) -> str:
        return f"webhook batch {self.pk}"


class DeliveryEvent(models.Model):
    """One normalised provider event. Either key alone makes it a repeat."""

    id_key = models.UUIDField(null=True, unique=True)
    content_key = models.UUIDField(unique=True)
    message = hot_key("campaigns.Message", related_name="delivery_events", null=True)
    type = models.CharField(max_length=30)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    address_hash = models.BinaryField(max_length=16, null=True)
    url = models.TextField(default="", blank=True)
    machine = models.BooleanField(default=False)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-occurred_at", "-id"]
        indexes = [
            # The message's page.
            models.Index(
                fields=["message", "occurred_at"], name="deliveryevent_message_idx"
            ),
        ]

    def __str__(self) -> str:
        return self.type
