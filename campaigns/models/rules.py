"""What a marketer edits, and the immutable form that the engine reads."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.domain.states import Kind, RuleStatus
from campaigns.models.columns import choices, one_of

UNITS = [
    ("minutes", _("minutes")),
    ("hours", _("hours")),
    ("days", _("days")),
    ("weeks", _("weeks")),
]


def event_name() -> "models.CharField[str, str]":
    """Return the column of one event name in a list of them."""
    return models.CharField(max_length=200)


class Rule(models.Model):
    """The draft of a rule, and its status. Publishing makes a RuleVersion of it."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    status = models.CharField(
        max_length=10, choices=choices(RuleStatus), default=RuleStatus.DRAFT
    )
    status_changed_at = models.DateTimeField(null=True, blank=True)
    kind = models.CharField(
        max_length=15, choices=choices(Kind), default=Kind.MARKETING
    )
    topic = models.ForeignKey(
        "campaigns.Topic", on_delete=models.PROTECT, null=True, blank=True
    )
    sender = models.ForeignKey("campaigns.Sender", on_delete=models.PROTECT)
    trigger_events = ArrayField(
        event_name(),
        default=list,
        help_text=_("Event names, separated by commas; any of them starts it."),
    )
    sources = models.ManyToManyField(
        "campaigns.Source", blank=True, help_text=_("None chosen means every source.")
    )
    allow_public = models.BooleanField(
        default=False, help_text=_("Events with a public browser key may start it.")
    )
    condition = models.JSONField(null=True, blank=True)
    freshness_amount = models.PositiveIntegerField(default=3)
    freshness_unit = models.CharField(max_length=10, choices=UNITS, default="days")
    cooldown_amount = models.PositiveIntegerField(
        default=0, help_text=_("0 means no cooldown.")
    )
    cooldown_unit = models.CharField(max_length=10, choices=UNITS, default="days")
    cooldown_key = models.CharField(
        max_length=200,
        blank=True,
        help_text=_("An event property such as cart_id: one cooldown for each value."),
    )
    retrigger = models.CharField(
        max_length=10,
        choices=[("ignore", _("Ignore")), ("restart", _("Restart the wait"))],
        default="ignore",
    )
    exit_events = ArrayField(event_name(), default=list, blank=True)
    exit_key = models.CharField(max_length=200, blank=True)
    holdout_percent = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    goal_event = models.CharField(max_length=200, blank=True)
    goal_amount = models.PositiveIntegerField(default=7)
    goal_unit = models.CharField(max_length=10, choices=UNITS, default="days")
    salt = models.CharField(max_length=32, editable=False)
    current = models.ForeignKey(
        "campaigns.RuleVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    edition = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        permissions = [("publish_rule", "Can publish, pause, resume and archive rules")]
        constraints = [
            one_of("status", RuleStatus, name="rule_status_known"),
            one_of("kind", Kind, name="rule_kind_known"),
            models.CheckConstraint(
                condition=Q(status="draft") | Q(current__isnull=False),
                name="rule_live_has_version",
            ),
            models.CheckConstraint(
                condition=Q(holdout_percent__gte=0, holdout_percent__lte=100),
                name="rule_holdout_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Step(models.Model):
    """A wait, and then one of its variants is sent."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField(default=0, db_index=True)
    delay_amount = models.PositiveIntegerField(default=0)
    delay_unit = models.CharField(max_length=10, choices=UNITS, default="hours")
    wait_for = ArrayField(
        event_name(),
        default=list,
        blank=True,
        help_text=_("Wait until one of these events; the delay is then the time-out."),
    )
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        help_text=_("0 is Monday. Empty means every day."),
    )
    send_from = models.CharField(max_length=5, blank=True, help_text=_("09:00"))
    send_until = models.CharField(max_length=5, blank=True, help_text=_("17:00"))
    quiet_from = models.CharField(max_length=5, blank=True, help_text=_("21:00"))
    quiet_until = models.CharField(max_length=5, blank=True, help_text=_("08:00"))
    expires_amount = models.PositiveIntegerField(
        default=0, help_text=_("Too late after this long; 0 means never.")
    )
    expires_unit = models.CharField(max_length=10, choices=UNITS, default="hours")

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"step {self.position + 1}"


class Variant(models.Model):
    """One of the mails that a step may send."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="variants")
    position = models.PositiveSmallIntegerField(default=0, db_index=True)
    name = models.CharField(max_length=60, default="A")
    template = models.ForeignKey("campaigns.Template", on_delete=models.PROTECT)
    weight = models.PositiveSmallIntegerField(default=1)
    condition = models.JSONField(null=True, blank=True)
    fallback = models.BooleanField(
        default=False, help_text=_("Sent when the chosen one cannot be.")
    )

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class RuleVersion(models.Model):
    """A published rule, never changed. The engine reads only these."""

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "number"], name="ruleversion_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule} v{self.number}"


class RuleStatusChange(models.Model):
    """When a rule became what; explanations read it."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="changes")
    status = models.CharField(max_length=10, choices=choices(RuleStatus))
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-changed_at", "-id"]

    def __str__(self) -> str:
        return f"{self.rule} {self.status}"


class DecisionCount(models.Model):
    """How many events touched a rule in an hour, by outcome; deltas, rolled up."""

    rule_id = models.BigIntegerField()
    hour = models.DateTimeField()
    reason = models.CharField(max_length=30)
    count = models.BigIntegerField()

    class Meta:
        indexes = [
            # Reports and the roll-up, both of the newest hours.
            models.Index(fields=["hour", "rule_id"], name="decisioncount_hour_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.reason}"
