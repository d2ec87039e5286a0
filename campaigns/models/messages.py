"""One intended mail, the calls made for it, and what the provider reported."""

from django.db import models
from django.db.models import Q

from campaigns.domain.states import AttemptState, Kind, MessageState
from campaigns.models.columns import choices, hot_key, one_of


class Message(models.Model):
    """Unique per (journey, step, revision). Moves are in domain/states.py.

    `not_before` is set exactly while queued, `lease_until` exactly while
    claimed or sending: the partial indexes look at those two alone, so that
    most updates stay in their heap page. What a provider reports are the
    times at the end, never states.
    """

    id = models.BigIntegerField(primary_key=True)
    journey = hot_key("campaigns.Journey", related_name="messages", null=True)
    step = models.SmallIntegerField(default=0)
    revision = models.IntegerField(default=0)
    purpose = models.CharField(max_length=10, default="journey")
    customer = hot_key("campaigns.Customer", related_name="messages")
    rule = hot_key("campaigns.Rule", related_name="messages", null=True)
    version = hot_key("campaigns.RuleVersion", related_name="messages", null=True)
    kind = models.CharField(max_length=15, choices=choices(Kind))
    lane = models.SmallIntegerField()
    variant = models.SmallIntegerField(default=0)
    template_version = hot_key("campaigns.TemplateVersion", related_name="messages")
    state = models.CharField(max_length=10, choices=choices(MessageState))
    reason = models.CharField(max_length=40, blank=True)
    detail = models.JSONField(null=True, blank=True)
    due_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    attempt = models.SmallIntegerField(default=0)
    token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    address = models.TextField(default="", blank=True)
    address_hash = models.BinaryField(max_length=16, null=True)
    provider = hot_key("campaigns.Provider", related_name="messages", null=True)
    provider_message_id = models.TextField(default="", blank=True)
    context = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    evidence_at = models.DateTimeField(null=True, blank=True)
    redriven_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    bounced_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    clicked_at = models.DateTimeField(null=True, blank=True)
    complained_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            one_of("state", MessageState, name="message_state_known"),
            one_of("kind", Kind, name="message_kind_known"),
            models.UniqueConstraint(
                fields=["journey", "step", "revision"], name="message_once"
            ),
            models.CheckConstraint(
                condition=Q(state="queued", not_before__isnull=False)
                | (~Q(state="queued") & Q(not_before__isnull=True)),
                name="message_queued_has_time",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=["claimed", "sending"],
                    lease_until__isnull=False,
                    token__isnull=False,
                )
                | (~Q(state__in=["claimed", "sending"]) & Q(lease_until__isnull=True)),
                name="message_claimed_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["sending", "sent", "unknown"])
                | Q(sending_at__isnull=False, address_hash__isnull=False),
                name="message_sending_has_start",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["skipped", "failed", "held", "cancelled"])
                | ~Q(reason=""),
                name="message_stopped_has_reason",
            ),
        ]
        indexes = [
            # The claim, one lane at a time, oldest first.
            models.Index(
                fields=["lane", "not_before"],
                name="message_queue_idx",
                condition=Q(not_before__isnull=False),
            ),
            # Rescue of expired leases.
            models.Index(
                fields=["lease_until"],
                name="message_lease_idx",
                condition=Q(lease_until__isnull=False),
            ),
            # The frequency cap of the gate.
            models.Index(
                fields=["address_hash", "sending_at"],
                name="message_cap_idx",
                condition=Q(sending_at__isnull=False),
            ),
            # Evidence of webhooks that carry only the provider's id.
            models.Index(
                fields=["provider_message_id"],
                name="message_provider_idx",
                condition=~Q(provider_message_id=""),
            ),
            # Resuming or archiving a rule. Moves between states write the other
            # partial indexes anyway, so the state in this one costs no update more.
            models.Index(
                fields=["rule", "id"],
                name="message_held_idx",
                condition=Q(state="held"),
            ),
            # The metrics: how many are unknown, and since when. Hardly any row is in
            # it; like the one above it costs no update more.
            models.Index(
                fields=["settled_at"],
                name="message_unknown_idx",
                condition=Q(state="unknown"),
            ),
            # The customer's page; the admin's list, newest first.
            models.Index(
                fields=["customer", "-created_at"], name="message_customer_idx"
            ),
            models.Index(fields=["-created_at", "-id"], name="message_recent_idx"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Attempt(models.Model):
    """One call to a provider; its id is the fencing token of the claim."""

    id = models.UUIDField(primary_key=True)
    message = hot_key("campaigns.Message", related_name="attempts")
    number = models.SmallIntegerField()
    provider = hot_key("campaigns.Provider", related_name="attempts", null=True)
    state = models.CharField(max_length=10, choices=choices(AttemptState))
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    status = models.IntegerField(null=True, blank=True)
    detail = models.TextField(default="", blank=True)

    class Meta:
        constraints = [one_of("state", AttemptState, name="attempt_state_known")]
        indexes = [
            # The message's page.
            models.Index(fields=["message"], name="attempt_message_idx"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.state}"
