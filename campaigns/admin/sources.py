"""Sources of events and their keys, each of which is shown exactly once."""

import secrets
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from campaigns.admin.base import BaseAdmin, rendered
from campaigns.admin.details import allowed, badge, register, when
from campaigns.deciding import clock
from campaigns.models import Source, SourceKey
from campaigns.receive.auth import hash_key

KEY_BYTES: Final = 24
SHOWN_CHARS: Final = 6


def new_key(source: Source) -> str:
    """Make a further key of the source and return it; only its hash is kept."""
    key = secrets.token_urlsafe(KEY_BYTES)
    SourceKey.objects.create(
        source=source, key_hash=hash_key(key), prefix=key[:SHOWN_CHARS]
    )
    return key


@register(Source)
class SourceAdmin(BaseAdmin):
    """Who may post events."""

    fields = ("name", "kind", "trust", "enabled")
    list_display = ("name", "kind", "trusted", "state")
    search_fields = ("name",)
    sortable_by = ()
    actions = None
    change_form_template = "admin/campaigns/source_form.html"

    def trusted(self, obj: Source) -> SafeString:
        """Return whether everybody can see its key."""
        return badge(obj.trust, "warn" if obj.trust == "public" else "")

    def state(self, obj: Source) -> SafeString:
        """Return whether its events are taken."""
        return badge("on", "good") if obj.enabled else badge("switched off")

    trusted.short_description = "Key"  # type: ignore[attr-defined]

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offer the dialects that are spoken."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "kind" and field is not None:
            field.help_text = "The dialect that it speaks: segment."
        return field

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep sources: events name them. Switch one off instead."""
        return False

    def get_urls(self) -> list[Any]:
        """Add making and revoking keys."""
        site = self.admin_site
        key = site.admin_view(require_POST(self.key_view))
        revoke = site.admin_view(require_POST(self.revoke_view))
        return [
            path("<int:pk>/key/", key, name="campaigns_source_key"),
            path(
                "<int:pk>/revoke/<int:key_id>/", revoke, name="campaigns_source_revoke"
            ),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show the form with the source's keys."""
        extra = dict(extra_context or {})
        if object_id and object_id.isdigit():
            keys = SourceKey.objects.filter(source_id=object_id)
            extra["source_keys"] = [
                {
                    "prefix": k.prefix,
                    "made": when(k.created_at),
                    "revoked": when(k.revoked_at) if k.revoked_at else "",
                    "url": reverse(
                        "admin:campaigns_source_revoke", args=[object_id, k.pk]
                    ),
                }
                for k in keys
            ]
            extra["may_change"] = allowed(request, "change_source")
        return super().changeform_view(request, object_id, form_url, extra)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """Show the first key of a new source."""
        return self._show_key(request, obj, new_key(obj))

    def key_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a further key and show it, this once."""
        if not allowed(request, "change_source"):
            raise PermissionDenied
        source = get_object_or_404(Source, pk=pk)
        self.log_change(request, source, "Made a key")
        return self._show_key(request, source, new_key(source))

    def revoke_view(self, request: HttpRequest, pk: int, key_id: int) -> HttpResponse:
        """Refuse a key from now on."""
        if not allowed(request, "change_source"):
            raise PermissionDenied
        key = get_object_or_404(SourceKey, pk=key_id, source=pk)
        if key.revoked_at is None:
            SourceKey.objects.filter(pk=key_id).update(revoked_at=clock.now())
            self.log_change(request, key.source, f"Revoked the key {key}")
        messages.success(
            request, f"The key {key} is revoked; within seconds it is refused."
        )
        return HttpResponseRedirect(reverse("admin:campaigns_source_change", args=[pk]))

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
