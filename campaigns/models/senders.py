"""Who mail comes from, and through whom it leaves."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Company(models.Model):
    """One row: what holds for every rule."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    name = models.CharField(max_length=100, default="")
    time_zone = models.CharField(max_length=60, default="UTC")
    cap_messages = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text=_("At most this many marketing mails to one address …"),
    )
    cap_days = models.PositiveSmallIntegerField(
        default=7, help_text=_("… within this many days.")
    )

    class Meta:
        verbose_name_plural = _("company")
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="company_one"),
            models.CheckConstraint(
                condition=models.Q(cap_days__gte=1, cap_days__lte=365),
                name="company_cap_days_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name or "company"


class Provider(models.Model):
    """A connection that mail leaves through, and its health as all hosts see it."""

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=30, default="sendgrid")
    enabled = models.BooleanField(default=True)
    rate_per_s = models.FloatField(default=100.0)
    burst = models.PositiveIntegerField(default=200)
    tokens = models.FloatField(default=200.0)
    tokens_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    pause_reason = models.TextField(blank=True)
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rate_per_s__gt=0, burst__gte=1),
                name="provider_rate_positive",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Sender(models.Model):
    """The From of a mail, and the postal address in its footer."""

    name = models.CharField(max_length=100, unique=True)
    from_name = models.CharField(max_length=100)
    from_email = models.EmailField()
    reply_to = models.EmailField(blank=True)
    company_name = models.CharField(max_length=150)
    postal_address = models.TextField(
        help_text=_(
            "A valid physical address; the law asks for it in every marketing mail."
        )
    )
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.from_name} <{self.from_email}>"
