"""Customers: who they are, and one timeline of all that happened."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db.models import Q
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from campaigns.admin.base import is_id, moment
from campaigns.admin.details import Panel, badge, json_block, link_to, register, when
from campaigns.admin.lists import BigListAdmin
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.clock import now
from campaigns.domain.addresses import normalise
from campaigns.models import Customer, Identity, Refusal, Subscription, Suppression
from campaigns.reports.timeline import Timeline, build_timeline, members

SHOWN_MERGED: Final = 20


@register(Customer)
class CustomerAdmin(BigListAdmin):
    """People, newest first."""

    list_display = ("who", "user_id", "time_zone", "seen", "state")
    search_help_text = "An e-mail address, its beginning, a user id or an id."
    empty_title = "Nobody yet"
    empty_words = "People appear here with their first event. Under Sources there are the keys to send one with."
    detail_template = "admin/campaigns/customer.html"

    def who(self, obj: Customer) -> str:
        """Return the name that people know them by."""
        return str(obj)

    def seen(self, obj: Customer) -> Any:
        """Return when they were first seen."""
        return when(obj.created_at)

    def state(self, obj: Customer) -> SafeString | str:
        """Return whether they were merged into somebody."""
        return badge("merged") if obj.merged_into else ""

    who.short_description = "Customer"  # type: ignore[attr-defined]
    seen.short_description = "First seen"  # type: ignore[attr-defined]
    state.short_description = ""  # type: ignore[attr-defined]

    def search(self, term: str) -> Q:
        """Find by whole address, by its beginning, by user id or id."""
        form = normalise(term)
        found = Q(user_id=term) | Q(email__startswith=form)
        return found | Q(pk=int(term)) if is_id(term) else found

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show the person with the timeline."""
        extra = {**(extra_context or {}), "before": request.GET.get("before", "")}
        return super().change_view(request, object_id, form_url, extra)

    def panels(self, request: HttpRequest, obj: Customer) -> Iterable[Panel]:
        """Return who they are; the timeline follows."""
        yield Panel("Who", facts=self._facts(obj))
        yield Panel("Permission to mail", facts=self._permission(obj))
        yield TimelinePanel(
            build_timeline(obj, before=moment(request.GET.get("before", "")))
        )
        yield Panel("Traits", body=json_block(obj.traits))

    def _facts(self, obj: Customer) -> list[tuple[str, object]]:
        names = Identity.objects.filter(customer=obj.pk).values_list(
            "namespace", "value"
        )
        trust = (
            "said by a trusted source" if obj.email_trusted else "said only publicly"
        )
        facts: list[tuple[str, object]] = [
            ("E-mail", f"{obj.email} ({trust})" if obj.email else "none"),
            ("User id", obj.user_id or "none"),
            ("Other names", ", ".join(v for n, v in names[:50] if n == 1) or "none"),
            ("Time zone", obj.time_zone or "the company's"),
            ("Locale", obj.locale or "unknown"),
            ("First seen", when(obj.created_at)),
        ]
        if obj.merged_into:
            into = link_to("customer", obj.merged_into, f"customer {obj.merged_into}")
            facts.append(("Merged into", into))
        if obj.merged_ids:
            facts.append(("Merged with", _latest(obj.merged_ids)))
        return facts

    def _permission(self, obj: Customer) -> list[tuple[str, object]]:
        facts: list[tuple[str, object]] = [
            (str(s.topic), badge("subscribed" if s.subscribed else "unsubscribed"))
            for s in Subscription.objects.filter(
                customer__in=members(obj)
            ).select_related("topic")
        ]
        facts += [
            (f"Everything, {when(r.refused_at)}", badge("refused", "warn"))
            for r in Refusal.objects.filter(customer__in=members(obj))
        ]
        if not obj.email:
            return facts or [("", "There is no address to mail to.")]
        rows = Suppression.objects.filter(
            address_hash=address_hash(obj.email), lifted_at=None
        ).select_related("topic")
        facts += [
            ("Suppressed", link_to("suppression", s.pk, _suppressed(s)))
            for s in rows
            if s.ends_at is None or s.ends_at > now()
        ]
        return facts or [("", "Nothing stands against it; no choice was made.")]


def _latest(merged: Sequence[int]) -> str:
    """Return the ids of those merged last, and how many there are more."""
    shown = ", ".join(map(str, merged[: -SHOWN_MERGED - 1 : -1]))
    more = len(merged) - SHOWN_MERGED
    return f"{shown} and {more:,} before" if more > 0 else shown


def _suppressed(row: Suppression) -> str:
    about = f"about {row.topic}" if row.topic else "everything"
    return f"{about}, {row.get_reason_display().lower()}"


class TimelinePanel(Panel):
    """The timeline as a panel of the page."""

    def __init__(self, timeline: Timeline) -> None:
        """Turn the entries into lines with links."""
        super().__init__("Timeline")
        self.older = timeline.older.isoformat() if timeline.older else ""
        self.entries = [
            {
                "when": when(e.at),
                "kind": badge(e.kind, e.tone or "calm"),
                "title": e.title,
                "why": e.why,
                "url": _page(e.model, e.pk),
            }
            for e in timeline.entries
        ]


def _page(model: str, pk: int) -> str:
    if not model or not pk:
        return ""
    try:
        return reverse(f"admin:campaigns_{model}_change", args=[pk])
    except NoReverseMatch:
        return ""
