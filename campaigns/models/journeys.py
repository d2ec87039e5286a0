"""One customer's way through one rule version, and what belongs to it."""

from django.db import models
from django.db.models import Q

from campaigns.domain.states import Arm, JourneyState
from campaigns.models.columns import choices, hot_key, one_of


class Journey(models.Model):
    """Started by one event; in exactly one state.

    `watched_until` is set while events still matter to it: far ahead while it
    is open, the goal's end while only a conversion may come, else null.
    `trigger_*` is the newest event that restarted it; mails speak of that one.
    """

    id = models.BigIntegerField(primary_key=True)
    rule = hot_key("campaigns.Rule", related_name="journeys")
    version = hot_key("campaigns.RuleVersion", related_name="journeys")
    customer = hot_key("campaigns.Customer", related_name="journeys")
    key = models.TextField(default="", blank=True)
    exit_value = models.TextField(null=True, blank=True)  # noqa: DJ001
    event_id = models.BigIntegerField()
    event_received_at = models.DateTimeField()
    event_occurred_at = models.DateTimeField()
    trigger_id = models.BigIntegerField()
    trigger_received_at = models.DateTimeField()
    trigger_occurred_at = models.DateTimeField()
    arm = models.CharField(max_length=10, choices=choices(Arm))
    state = models.CharField(max_length=10, choices=choices(JourneyState))
    step = models.SmallIntegerField(default=0)
    revision = models.IntegerField(default=0)
    lane = models.SmallIntegerField(default=0)
    wait_since = models.DateTimeField(null=True, blank=True)
    woken_by = models.BigIntegerField(null=True, blank=True)
    held_due_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    cause = models.JSONField(null=True, blank=True)
    goal_until = models.DateTimeField(null=True, blank=True)
    converted_at = models.DateTimeField(null=True, blank=True)
    watched_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            one_of("state", JourneyState, name="journey_state_known"),
            one_of("arm", Arm, name="journey_arm_known"),
            models.CheckConstraint(
                condition=Q(
                    state__in=["waiting", "sending", "held"], ended_at__isnull=True
                )
                | Q(
                    state__in=["finished", "exited", "cancelled", "merged"],
                    ended_at__isnull=False,
                ),
                name="journey_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state="held", held_due_at__isnull=False)
                | (~Q(state="held") & Q(held_due_at__isnull=True)),
                name="journey_held_keeps_due",
            ),
            models.UniqueConstraint(
                fields=["customer", "rule", "key"],
                condition=Q(ended_at__isnull=True),
                name="journey_one_open",
            ),
        ]
        indexes = [
            # Ingest: exits, restarts, wakes and goals of the people in a batch.
            models.Index(
                fields=["customer"],
                name="journey_watched_idx",
                condition=Q(watched_until__isnull=False),
            ),
            # The customer's page; sums of a rule; archiving and resuming it.
            models.Index(
                fields=["customer", "-started_at"], name="journey_customer_idx"
            ),
            models.Index(
                fields=["rule", "id"],
                name="journey_open_idx",
                condition=Q(ended_at__isnull=True),
            ),
            # Resuming a rule, and housekeeping's look for resumes cut short.
            models.Index(
                fields=["rule", "id"],
                name="journey_held_idx",
                condition=Q(held_due_at__isnull=False),
            ),
            # The admin's list, newest first.
            models.Index(fields=["-started_at", "-id"], name="journey_recent_idx"),
        ]

    def __str__(self) -> str:
        return f"journey {self.pk}"


class Timer(models.Model):
    """Exists exactly while its journey waits; all that the dispatcher scans."""

    journey = models.OneToOneField(
        Journey, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False
    )
    customer = hot_key("campaigns.Customer", related_name="timers")
    lane = models.SmallIntegerField()
    due_at = models.DateTimeField()

    class Meta:
        indexes = [
            # The dispatcher's claim, one lane at a time, oldest first.
            models.Index(fields=["lane", "due_at"], name="timer_due_idx"),
        ]

    def __str__(self) -> str:
        return f"timer {self.pk}"


class Cooldown(models.Model):
    """Until when a rule may not start again for a customer (and key value)."""

    pk = models.CompositePrimaryKey("customer_id", "rule_id", "key")
    customer_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    key = models.TextField(default="")
    until = models.DateTimeField()

    class Meta:
        indexes = [
            # Housekeeping deletes what is over.
            models.Index(fields=["until"], name="cooldown_until_idx"),
        ]

    def __str__(self) -> str:
        return f"until {self.until}"


class Conversion(models.Model):
    """A goal event counted for a journey, at most one a journey, for both arms."""

    journey = models.OneToOneField(
        Journey, primary_key=True, on_delete=models.DO_NOTHING, db_constraint=False
    )
    rule = hot_key("campaigns.Rule", related_name="conversions")
    customer = hot_key("campaigns.Customer", related_name="conversions")
    arm = models.CharField(max_length=10, choices=choices(Arm))
    event_id = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"conversion of journey {self.pk}"
