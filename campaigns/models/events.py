"""What customers did. The table is partitioned by month of `received_at`."""

from django.db import models

from campaigns.domain.events import EventType
from campaigns.models.columns import choices, hot_key


class Event(models.Model):
    """One event as received, with the decisions that it led to.

    `decisions` is a list of {"rule", "version", "reason"}, with "journey" and
    "detail" where there are such; it is written in the transaction that stores the
    event and dies with its partition.
    """

    id = models.BigIntegerField(primary_key=True)
    customer = hot_key("campaigns.Customer", related_name="events")
    source = hot_key("campaigns.Source", related_name="events")
    type = models.TextField(choices=choices(EventType))
    name = models.TextField()
    message_id = models.TextField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    properties = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    traits = models.JSONField(null=True)
    decisions = models.JSONField(null=True)
    notes = models.JSONField(null=True)

    class Meta:
        db_table = "campaigns_event"
        managed = False  # Partitioned: the migration writes its own SQL.

    def __str__(self) -> str:
        return self.name or self.type


class IngestState(models.Model):
    """One row: the ruleset's number, and which dedupe table is the current one.

    `address_key` is a fingerprint of the key that addresses are hashed with, ""
    until it was first used: campaigns.deciding.address_key. `from_demo` says that
    the simulator stood in for the provider: campaigns.journeys.demo_data.
    `incarnation` tells the database from its backups: campaigns.deciding.incarnation.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    ruleset = models.BigIntegerField(default=0)
    generation = models.SmallIntegerField(default=0)
    rotated_at = models.DateTimeField()
    address_key = models.CharField(max_length=64, default="", blank=True)
    from_demo = models.BooleanField(default=False)
    incarnation = models.CharField(
        max_length=120, default="", db_default="", blank=True
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(id=1, generation__in=[0, 1]), name="ingeststate_one"
            )
        ]

    def __str__(self) -> str:
        return f"ruleset {self.ruleset}"


class RecordedOrder(models.Model):
    """The order of inputs, kept only with RECORD_ORDER for the keel's test."""

    ordinal = models.BigIntegerField(primary_key=True)
    now = models.DateTimeField()
    kind = models.TextField()
    payload = models.JSONField()

    class Meta:
        ordering = ["ordinal"]

    def __str__(self) -> str:
        return f"{self.ordinal} {self.kind}"
