"""A mail's words: an editable draft and its immutable published versions."""

from django.db import models


class Template(models.Model):
    """The draft of a mail, in Liquid."""

    name = models.CharField(max_length=100, unique=True)
    subject = models.CharField(max_length=500)
    preheader = models.CharField(max_length=500, blank=True)
    html = models.TextField()
    text = models.TextField(blank=True)
    sample = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(models.Model):
    """What was published, once and for all."""

    template = models.ForeignKey(
        Template, on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField()
    subject = models.CharField(max_length=500)
    preheader = models.CharField(max_length=500, blank=True)
    html = models.TextField()
    text = models.TextField(blank=True)
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["template", "number"], name="templateversion_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"
