"""Templates: a draft with its preview, published as versions that never change."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from campaigns.admin.base import TextArea, TextInput, actor
from campaigns.admin.details import allowed, badge, register, when
from campaigns.admin.drafts import DraftAdmin
from campaigns.admin.fields import read_json
from campaigns.admin.frames import framed, framed_words
from campaigns.domain.liquid import TemplateInvalid
from campaigns.domain.liquid_budget import plain
from campaigns.journeys.refusals import PublishRefused
from campaigns.journeys.templates import (
    PARTS,
    is_changed,
    publish_template,
    template_refusals,
    words_of,
)
from campaigns.models import Rule, Template, TemplateVersion
from campaigns.rendering.preview import Preview, preview

_CODE = {"class": "et-mono vLargeTextField", "spellcheck": "false"}
EXAMPLE = {
    "customer": {"first_name": "Ada", "email": "ada@example.com"},
    "event": {"name": "Signed Up", "properties": {"plan_name": "Pro"}},
}


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """The draft. It may be saved with faults; only publishing asks for none."""

    sample = forms.CharField(
        label="Sample data",
        required=False,
        widget=TextArea(attrs={**_CODE, "rows": 8}),
        help_text='What the preview is made with: {"customer": {…}, "event": {…}}.',
    )

    class Meta:
        model = Template
        fields = ("name", "subject", "preheader", "html", "text", "sample")
        widgets = {
            "subject": TextInput(),
            "preheader": TextInput(),
            "html": TextArea(attrs={**_CODE, "rows": 24}),
            "text": TextArea(attrs={**_CODE, "rows": 6}),
        }
        labels = {"html": "HTML", "text": "Plain text"}
        help_texts = {
            "subject": "Liquid: {{ customer.first_name | default: 'there' }}",
            "preheader": "The line that mailboxes show beside the subject.",
            "text": "Left empty it is made from the HTML.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Show the sample laid out."""
        super().__init__(*args, **kwargs)
        sample = self.instance.sample or EXAMPLE
        self.initial["sample"] = json.dumps(sample, indent=2, ensure_ascii=False)

    def clean_sample(self) -> object:
        """Return the sample as a mail would be made with it; say what is wrong."""
        text = self.cleaned_data["sample"].strip()
        found = read_json(text) if text else {}
        if not isinstance(found, dict):
            raise ValidationError(
                'This must be an object: {"customer": …, "event": …}.'
            )
        try:
            return plain(found)
        except TemplateInvalid as error:
            raise ValidationError(error.reason) from None


def previewed(values: Mapping[str, Any], sample: object) -> Preview:
    """Render a draft with its sample."""
    facts = sample if isinstance(sample, dict) else {}
    event, customer = facts.get("event"), facts.get("customer")
    subject, preheader, html, text = (str(values.get(part, "")) for part in PARTS)
    return preview(
        subject,
        preheader,
        html,
        text,
        event if isinstance(event, dict) else {},
        customer if isinstance(customer, dict) else {},
    )


@register(Template)
class TemplateAdmin(DraftAdmin):
    """The list and the form of templates."""

    form = TemplateForm
    list_display = ("name", "subject", "state", "saved")
    empty_title = "No template yet"
    empty_words = "A template is the mail that a rule sends, written in Liquid."
    search_fields = ("name",)
    sortable_by = ()
    actions = None
    change_form_template = "admin/campaigns/template_form.html"
    fieldsets = (
        (None, {"fields": ("name", "subject", "preheader")}),
        ("Words", {"fields": ("html", "text")}),
        ("Preview with", {"fields": ("sample",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        """Return the templates with what was published last."""
        newest = TemplateVersion.objects.filter(template=OuterRef("pk"))
        newest = newest.order_by("-number")
        found: QuerySet[Template] = super().get_queryset(request)
        last = {f"last_{part}": Subquery(newest.values(part)[:1]) for part in PARTS}
        return found.annotate(last=Subquery(newest.values("number")[:1]), **last)

    def state(self, obj: Any) -> SafeString:
        """Return whether what is published is what stands here."""
        if obj.last is None:
            return badge("draft")
        published = tuple(getattr(obj, f"last_{part}") for part in PARTS)
        if published == words_of(obj):
            return badge(f"version {obj.last}", "good")
        return badge(f"changed since version {obj.last}", "warn")

    def saved(self, obj: Template) -> Any:
        """Return when it was saved."""
        return when(obj.updated_at)

    state.short_description = "Published"  # type: ignore[attr-defined]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only what was never published be deleted: mails show the rest."""
        never = obj is None or not obj.versions.exists()
        return never and bool(super().has_delete_permission(request, obj))

    def get_urls(self) -> list[Any]:
        """Add the preview: of what is saved, and of what is being typed."""
        return [
            self.posted("preview/", self.typed_view, "campaigns_template_typed"),
            path(
                "<int:pk>/preview/",
                self.admin_site.admin_view(self.preview_view),
                name="campaigns_template_preview",
            ),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the saved draft with its sample, in a frame."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Template.objects.filter(pk=pk).first()
        if found is None:
            raise Http404("There is no such template.")
        values = dict(zip(PARTS, words_of(found), strict=True))
        return _frame(previewed(values, found.sample or EXAMPLE))

    def typed_view(self, request: HttpRequest) -> HttpResponse:
        """Show what is being typed, in the same frame; nothing is saved."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            sample = json.loads(request.POST.get("sample") or "{}")
        except (ValueError, RecursionError):
            return framed_words("The sample data is not JSON.")
        return _frame(previewed(request.POST, sample))

    def form_context(self, request: HttpRequest, pk: int | None) -> dict[str, Any]:
        """Return the preview, and what is left to do before publishing."""
        extra: dict[str, Any] = {
            "may_publish": allowed(request, "publish_rule"),
            "typed_url": reverse("admin:campaigns_template_typed"),
        }
        found = Template.objects.filter(pk=pk).first() if pk is not None else None
        if found is None:
            return extra
        values = dict(zip(PARTS, words_of(found), strict=True))
        shown = previewed(values, found.sample or EXAMPLE)
        newest = found.versions.first()
        rules = Rule.objects.filter(steps__variants__template=found).distinct()
        return {
            **extra,
            "shown": shown,
            "size_kb": round(len(shown.html.encode()) / 1000, 1),
            "refusals": list(template_refusals(found)),
            "preview_url": reverse("admin:campaigns_template_preview", args=[found.pk]),
            "version": newest,
            "published_at": when(newest.published_at) if newest else "",
            "changed": newest is not None and is_changed(found),
            "used_by": list(rules),
        }

    def publish(self, request: HttpRequest, pk: int) -> None:
        """Publish the draft, or say what is wrong with it."""
        try:
            version = publish_template(pk, by=actor(request))
        except PublishRefused as refused:
            messages.error(request, f"Saved, but not published. {refused}")
            return
        messages.success(
            request,
            f"Version {version.number} is published. Rules that run keep the version "
            "they were published with; publish them again to use this one.",
        )


def _frame(shown: Preview) -> HttpResponse:
    if shown.html:
        return framed(shown.html)
    words = " ".join(p.message for p in shown.problems) or "There is nothing to show."
    return framed_words(words)
