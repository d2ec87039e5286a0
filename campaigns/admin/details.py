"""Pages that show one thing: panels of facts and tables, no form."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns.admin.base import ReadOnlyAdmin, bounded_reading, rendered, viewer_zone
from campaigns.reports.wording import label, time_words

logger = logging.getLogger(__name__)

_TONES = {
    "active": "good", "sent": "good", "entered": "good", "accepted": "good",
    "delivered": "good", "opened": "good", "clicked": "good", "finished": "good", "converted": "good", "healthy": "good",
    "waiting": "busy", "sending": "busy", "queued": "busy", "claimed": "busy",
    "open": "busy", "restarted": "busy",
    "paused": "warn", "held": "warn", "unknown": "warn", "ambiguous": "warn",
    "failed": "bad", "bounced": "bad", "complained": "bad", "refused": "bad",
    "switched off": "bad", "silent": "bad",
}  # fmt: skip


@dataclass
class Panel:
    """A part of a page: facts (label, value), or a table, or both."""

    title: str
    facts: Sequence[tuple[str, object]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    empty: str = ""
    note: object = ""
    frame: str = ""
    body: object = ""


class Tool(NamedTuple):
    """A button that posts to `address`; `confirm` is asked before, if it is not ""."""

    label: str
    address: str
    confirm: str = ""


class DetailAdmin(ReadOnlyAdmin):
    """Shows one row as panels; needs nothing but the permission to view."""

    detail_template = "admin/campaigns/detail.html"

    def panels(self, request: HttpRequest, obj: Any) -> Iterable[Panel]:
        """Return what the page shows of a row."""
        raise NotImplementedError

    def tools(self, request: HttpRequest, obj: Any) -> Iterable[Tool]:
        """Return what can be done here."""
        return ()

    def heading(self, obj: Any) -> str:
        """Return the page's title."""
        return str(obj)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show one row."""
        with timezone.override(viewer_zone(request)), bounded_reading():
            obj = self.get_object(request, unquote(object_id))
            if obj is None:
                raise Http404(f"There is no {self.opts.verbose_name} {object_id[:40]}.")
            if not self.has_view_permission(request, obj):
                raise PermissionDenied
            looked(request, f"{self.opts.model_name} {obj.pk}")
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": obj,
                "title": self.heading(obj),
                "panels": list(self.panels(request, obj)),
                "tools": list(self.tools(request, obj)),
                "media": self.media,
                "has_view_permission": True,
                **(extra_context or {}),
            }
            return rendered(TemplateResponse(request, self.detail_template, context))


def looked(request: HttpRequest, what: str) -> None:
    """Say in the log who looked at what, by numbers alone."""
    logger.info("user %s looked at %s", request.user.pk, what)


def when(value: Any) -> SafeString | str:
    """Return a time in the viewer's zone with the zone's name."""
    if value is None:
        return "-"
    zone = timezone.get_current_timezone_name()
    return format_html('<time title="{}">{}</time>', zone, time_words(value))


def said(*facts: tuple[str, object]) -> list[tuple[str, object]]:
    """Return the facts that say something: those whose value is not "-"."""
    return [fact for fact in facts if fact[1] != "-"]


def tone_of(code: str) -> str:
    """Return the colour in which a code is meant."""
    return _TONES.get(code, "calm")


def badge(text: object, tone: str = "") -> SafeString:
    """Return a code or word, as people say it, in a colour that says how it is meant."""
    found = tone or tone_of(str(text))
    return format_html(
        '<span class="et-badge et-{}">{}</span>', found, label(str(text))
    )


def json_block(value: object) -> SafeString | str:
    """Return JSON, laid out and escaped."""
    if value in (None, {}, [], ""):
        return "-"
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="et-json">{}</pre>', text)


def link(obj: Any, text: object = "") -> SafeString | str:
    """Return a link to a row's page; "-" for none."""
    if obj is None:
        return "-"
    return link_to(type(obj).__name__.lower(), obj.pk, text or obj)


def link_to(model: str, pk: object, text: object) -> SafeString:
    """Return a link to the page of a row of which only the id is known."""
    where = reverse(f"admin:campaigns_{model}_change", args=[pk])
    return format_html('<a class="et-link" href="{}">{}</a>', where, text)


def related(obj: Any, name: str) -> Any:
    """Return the row that a hot key names, None if it is gone."""
    try:
        return getattr(obj, name)
    except ObjectDoesNotExist:
        return None


def allowed(request: HttpRequest, codename: str) -> bool:
    """Say whether the viewer has a permission of this app."""
    user: Any = request.user
    return bool(user.has_perm(f"campaigns.{codename}"))


def demand(request: HttpRequest, codename: str) -> None:
    """Go on only with a permission of this app; raises PermissionDenied."""
    if not allowed(request, codename):
        raise PermissionDenied


register = admin.register
