"""The people, the names they go by, and what they agreed to."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.columns import hot_key


class Customer(models.Model):
    """A person. `born_as` is the first name that it was seen under ("user:u1")."""

    id = models.BigIntegerField(primary_key=True)
    born_as = models.TextField()
    user_id = models.TextField(null=True, blank=True)  # noqa: DJ001 - absent is not ""
    email = models.TextField(null=True, blank=True)  # noqa: DJ001
    email_said_at = models.DateTimeField(null=True, blank=True)
    email_trusted = models.BooleanField(default=False)
    traits = models.JSONField(default=dict)
    trait_times = models.JSONField(default=dict)
    time_zone = models.TextField(default="", blank=True)
    locale = models.TextField(default="", blank=True)
    bucket = models.SmallIntegerField()
    merged_into = models.BigIntegerField(null=True, blank=True)
    merged_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(bucket__gte=0, bucket__lt=10_000),
                name="customer_bucket_range",
            ),
        ]
        indexes = [
            # Suppressions, caps and the admin's search find people by address.
            models.Index(
                fields=["email"],
                name="customer_email_idx",
                condition=Q(email__isnull=False),
            ),
            # The admin's search and keyset pages.
            models.Index(fields=["-created_at", "-id"], name="customer_recent_idx"),
            models.Index(
                fields=["user_id"],
                name="customer_user_idx",
                condition=Q(user_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.email or self.user_id or self.born_as


class Identity(models.Model):
    """A name that one customer goes by; the namespace is 0 user, 1 anonymous."""

    pk = models.CompositePrimaryKey("namespace", "value")
    namespace = models.SmallIntegerField()
    value = models.TextField()
    customer = hot_key("campaigns.Customer", related_name="identities")

    class Meta:
        verbose_name_plural = _("identities")
        indexes = [
            # Merges move a customer's names; the customer's page lists them.
            models.Index(fields=["customer"], name="identity_customer_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.namespace}:{self.value}"


class Topic(models.Model):
    """What a customer can be mailed about."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    opt_in = models.BooleanField(
        default=False,
        help_text=_(
            "Opt-in: mail only after a recorded consent. Opt-out: until refused."
        ),
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """A customer's own choice about a topic; the newest said wins, a no over a yes."""

    customer = hot_key("campaigns.Customer", related_name="subscriptions")
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE)
    subscribed = models.BooleanField()
    changed_at = models.DateTimeField()
    origin = models.CharField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "topic"], name="subscription_once_a_topic"
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic}: {'yes' if self.subscribed else 'no'}"


class Refusal(models.Model):
    """A customer's refusal of everything, with its proof: topics made later, too.

    Only a choice about a topic that was made after it says otherwise.
    """

    customer = models.OneToOneField(
        Customer,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="refusal",
    )
    refused_at = models.DateTimeField()
    origin = models.CharField(max_length=60)
    wording = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"everything refused at {self.refused_at}"


class Consent(models.Model):
    """The proof of a choice: who said what, when, how, in answer to which words."""

    customer = hot_key("campaigns.Customer", related_name="consents")
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE)
    granted = models.BooleanField()
    said_at = models.DateTimeField()
    origin = models.CharField(max_length=60)
    wording = models.TextField(blank=True)

    class Meta:
        ordering = ["-said_at"]
        indexes = [
            # The gate's look for a consent; the customer's page.
            models.Index(fields=["customer", "topic"], name="consent_customer_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {'granted' if self.granted else 'withdrawn'}"
