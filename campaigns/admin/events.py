"""Events as they came, with what each rule made of them; and those refused."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from campaigns.admin.base import is_id
from campaigns.admin.details import (
    DetailAdmin,
    Panel,
    badge,
    json_block,
    link,
    link_to,
    register,
    related,
    when,
)
from campaigns.admin.lists import BigListAdmin
from campaigns.domain.addresses import normalise
from campaigns.models import Customer, Event, RefusedCount, RejectedEvent, Rule
from campaigns.reports.codes import TURNED_AWAY
from campaigns.reports.wording import decision_words, in_words


def people_named(term: str) -> list[int]:
    """Return the ids under which the rows of somebody with this name may stand."""
    found = Customer.objects.filter(Q(email=normalise(term)) | Q(user_id=term))[:100]
    return [pk for c in found for pk in (c.pk, *c.merged_ids)]


class OfPeopleAdmin(BigListAdmin):
    """A big list whose rows belong to customers."""

    search_help_text = "An e-mail address, a user id or an id."

    def decorated(self, page: list[Any]) -> list[Any]:
        """Return the rows with their customers, read at once."""
        people = Customer.objects.in_bulk({row.customer_id for row in page})
        for row in page:
            row.et_customer = people.get(row.customer_id)
        return page

    def who(self, obj: Any) -> SafeString | str:
        """Return the customer."""
        return link(obj.et_customer)

    who.short_description = "Customer"  # type: ignore[attr-defined]

    def search(self, term: str) -> Q:
        """Find by the customer's address or user id, or by the row's id."""
        found = Q(customer__in=people_named(term))
        return found | Q(pk=int(term)) if is_id(term) else found


@register(Event)
class EventAdmin(OfPeopleAdmin):
    """Events, the newest first."""

    empty_title = "No event yet"
    empty_words = "Events appear here as soon as they come. Under Sources there are the keys to send one with."
    keyset_time = "received_at"
    list_display = ("what", "who", "received", "touched")

    def what(self, obj: Event) -> str:
        """Return the name, or the type of what has none."""
        return obj.name or obj.type

    def received(self, obj: Event) -> Any:
        """Return when it came."""
        return when(obj.received_at)

    def touched(self, obj: Event) -> SafeString | str:
        """Return what became of it, in a few words a rule."""
        codes = [str(d.get("reason", "")) for d in obj.decisions or ()]
        if not codes:
            return "no rule waits for it"
        return format_html_join(" ", "{}", ((badge(code),) for code in codes))

    what.short_description = "Event"  # type: ignore[attr-defined]
    touched.short_description = "Decisions"  # type: ignore[attr-defined]

    def panels(self, request: HttpRequest, obj: Event) -> Iterable[Panel]:
        """Return the event and every decision about it."""
        yield Panel(
            "Event",
            facts=[
                ("Name", obj.name or "-"),
                ("Type", obj.type),
                ("Customer", link(related(obj, "customer"))),
                ("Source", link(related(obj, "source"))),
                ("Happened", when(obj.occurred_at)),
                ("Received", when(obj.received_at)),
                ("Message id", obj.message_id),
            ],
        )
        decisions = obj.decisions or []
        rules = Rule.objects.in_bulk([d["rule"] for d in decisions])
        yield Panel(
            "What the rules decided",
            columns=("Rule", "Decision", "Why", "Journey"),
            rows=[
                (
                    link(rules.get(d["rule"])),
                    badge(d["reason"]),
                    decision_words(d),
                    link_to("journey", d["journey"], "see it")
                    if d.get("journey")
                    else "-",
                )
                for d in decisions
            ],
            empty="No active rule waits for this event.",
        )
        yield Panel("Properties", body=json_block(obj.properties))
        if obj.traits:
            yield Panel("Traits said with it", body=json_block(obj.traits))
        if obj.context:
            yield Panel("Context", body=json_block(obj.context))
        if obj.notes:
            yield Panel("Mended on receipt", body=json_block(obj.notes))


@register(RejectedEvent)
class RejectedEventAdmin(BigListAdmin):
    """What was refused, with what its sender can do about it."""

    empty_title = "Nothing was refused"
    empty_words = "What cannot be taken is kept here with the reason."
    keyset_time = "received_at"
    list_display = ("refused", "detail", "source", "received")
    list_select_related = ("source",)
    list_filter = ("source",)
    search_help_text = "An id."

    def refused(self, obj: RejectedEvent) -> SafeString:
        """Return the code."""
        return badge(obj.code, "bad")

    def received(self, obj: RejectedEvent) -> Any:
        """Return when it came."""
        return when(obj.received_at)

    refused.short_description = "Refused"  # type: ignore[attr-defined]

    def panels(self, request: HttpRequest, obj: RejectedEvent) -> Iterable[Panel]:
        """Return why, and the body as far as it was kept."""
        yield Panel(
            "Refused",
            facts=[
                ("Reason", badge(obj.code, "bad")),
                ("What was wrong", obj.detail),
                ("Where", obj.path or "-"),
                ("Source", link(obj.source)),
                ("Message id", obj.message_id or "-"),
                ("Received", when(obj.received_at)),
            ],
        )
        yield Panel("Body", body=json_block(obj.body))


@register(RefusedCount)
class RefusedCountAdmin(DetailAdmin):
    """Requests that nobody could be told of: only how many, by hour and reason."""

    list_display = ("why", "hours", "count")
    empty_title = "Nobody was turned away"
    empty_words = "Requests without a valid key or signature are counted here by hour."
    sortable_by = ()

    def why(self, obj: RefusedCount) -> str:
        """Return what they lacked."""
        return in_words(TURNED_AWAY, obj.reason)

    def hours(self, obj: RefusedCount) -> Any:
        """Return the beginning of the hour."""
        return when(obj.hour)

    hours.short_description = "In the hour from"  # type: ignore[attr-defined]

    def panels(self, request: HttpRequest, obj: RefusedCount) -> Iterable[Panel]:
        """Return the count."""
        yield Panel(
            "Requests turned away",
            facts=[
                ("Why", self.why(obj)),
                ("In the hour from", when(obj.hour)),
                ("How many", f"{obj.count:,}"),
            ],
            note="Nothing else of them is kept; the proxy's log has their addresses.",
        )
