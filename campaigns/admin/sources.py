"""Sources of events and their keys, each of which is shown exactly once."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns.admin.base import KeptAdmin, rendered
from campaigns.admin.details import allowed, badge, demand, register, when
from campaigns.deciding import clock
from campaigns.models import Source, SourceKey
from campaigns.receive.auth import new_key


@register(Source)
class SourceAdmin(KeptAdmin):
    """Who may post events; one is switched off, not deleted: events name it."""

    fields = ("name", "kind", "trust", "enabled")
    list_display = ("name", "kind", "trusted", "has_key", "state")
    empty_title = "No source yet"
    empty_words = (
        "A source is a backend, page or tool that reports events with a key of its own."
    )
    search_fields = ("name",)
    sortable_by = ()
    actions = None
    change_form_template = "admin/campaigns/source_form.html"

    def trusted(self, obj: Source) -> SafeString:
        """Return whether everybody can see its key."""
        return badge(obj.trust, "warn" if obj.trust == "public" else "")

    def has_key(self, obj: Any) -> SafeString | str:
        """Return how many keys it may post with."""
        if not obj.valid_keys:
            return badge("no key yet", "warn")
        return "1 key" if obj.valid_keys == 1 else f"{obj.valid_keys} keys"

    def state(self, obj: Source) -> SafeString:
        """Return whether its events are taken."""
        return badge("on", "good") if obj.enabled else badge("switched off")

    trusted.short_description = "Trust"  # type: ignore[attr-defined]
    has_key.short_description = "Valid keys"  # type: ignore[attr-defined]
    state.short_description = "Events"  # type: ignore[attr-defined]

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offer the dialects that are spoken."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "kind" and field is not None:
            field.help_text = "The dialect that it speaks: segment."
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        """Return the sources with how many keys of each are valid."""
        found: QuerySet[Source] = super().get_queryset(request)
        valid = Count("keys", filter=Q(keys__revoked_at=None))
        return found.annotate(valid_keys=valid)

    def get_urls(self) -> list[Any]:
        """Add making and revoking keys."""
        revoke = "<int:pk>/revoke/<int:key_id>/"
        return [
            self.posted("<int:pk>/key/", self.key_view, "campaigns_source_key"),
            self.posted(revoke, self.revoke_view, "campaigns_source_revoke"),
            *super().get_urls(),
        ]

    def form_context(self, request: HttpRequest, pk: int | None) -> dict[str, Any]:
        """Return the source's keys, as far as they may be shown."""
        if pk is None:
            return {}
        return {
            "source_keys": [_shown_key(k) for k in SourceKey.objects.filter(source=pk)],
            "may_change": allowed(request, "change_source"),
        }

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """Show the first key of a new source."""
        return self._show_key(request, obj, new_key(obj))

    def key_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a further key and show it, this once."""
        demand(request, "change_source")
        source = get_object_or_404(Source, pk=pk)
        self.log_change(request, source, "Made a key")
        return self._show_key(request, source, new_key(source))

    def revoke_view(self, request: HttpRequest, pk: int, key_id: int) -> HttpResponse:
        """Refuse a key from now on."""
        demand(request, "change_source")
        key = get_object_or_404(SourceKey, pk=key_id, source=pk)
        if key.revoked_at is None:
            SourceKey.objects.filter(pk=key_id).update(revoked_at=clock.now())
            self.log_change(request, key.source, f"Revoked the key {key}")
        messages.success(
            request, f"The key {key} is revoked; within seconds it is refused."
        )
        return HttpResponseRedirect(self.page_of(pk))

    def _show_key(self, request: HttpRequest, source: Source, key: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The key of {source}",
            "source": source,
            "key": key,
            "media": self.media,
        }
        page = TemplateResponse(request, "admin/campaigns/source_key.html", context)
        response = rendered(page)
        response["Cache-Control"] = "no-store"
        return response


def _shown_key(key: SourceKey) -> dict[str, object]:
    args = [key.source_id, key.pk]
    return {
        "prefix": key.prefix,
        "made": when(key.created_at),
        "revoked": when(key.revoked_at) if key.revoked_at else "",
        "url": reverse("admin:campaigns_source_revoke", args=args),
    }
