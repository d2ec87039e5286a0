"""Addresses that must not be mailed."""

from enum import StrEnum

from django.db import models
from django.db.models import Q

from campaigns.domain.states import SuppressionReason
from campaigns.models.columns import choices, one_of


class Scope(StrEnum):
    """How far a suppression reaches."""

    ALL = "all"
    TOPIC = "topic"


class Suppression(models.Model):
    """One reason not to mail one address. Found by the keyed hash alone.

    `address` is emptied by erasure; the hash goes on stopping a re-import.
    Lifting keeps the row, with who and why.
    """

    address_hash = models.BinaryField(max_length=16)
    address = models.TextField(blank=True)
    scope = models.CharField(max_length=10, choices=choices(Scope), default=Scope.ALL)
    topic = models.ForeignKey(
        "campaigns.Topic", on_delete=models.CASCADE, null=True, blank=True
    )
    reason = models.CharField(max_length=20, choices=choices(SuppressionReason))
    origin = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=150, blank=True)
    lifted_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            one_of("scope", Scope, name="suppression_scope_known"),
            one_of("reason", SuppressionReason, name="suppression_reason_known"),
            models.CheckConstraint(
                condition=Q(scope="all", topic__isnull=True)
                | Q(scope="topic", topic__isnull=False),
                name="suppression_topic_has_one",
            ),
            models.UniqueConstraint(
                fields=["address_hash", "reason", "topic"],
                condition=Q(lifted_at__isnull=True),
                nulls_distinct=False,
                name="suppression_once",
            ),
        ]
        indexes = [
            # The admin's search and a customer's page, lifted ones too.
            models.Index(fields=["address_hash"], name="suppression_address_idx"),
            # The admin's list, newest first.
            models.Index(fields=["-created_at", "-id"], name="suppression_recent_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.address or 'erased'}: {self.reason}"
