"""Journeys: one customer's way through one rule version."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from campaigns.admin.details import (
    Panel,
    badge,
    link,
    link_to,
    register,
    related,
    said,
    when,
)
from campaigns.admin.events import OfPeopleAdmin
from campaigns.models import Journey, Message, Rule, Timer
from campaigns.reports.wording import cause_words, mail_words


@register(Journey)
class JourneyAdmin(OfPeopleAdmin):
    """Journeys, the newest first."""

    empty_title = "Nobody is on the way"
    empty_words = "A journey begins when an event fits an active rule."
    keyset_time = "started_at"
    list_display = ("name", "who", "status", "started", "why")
    list_filter = ("state",)

    def decorated(self, page: list[Any]) -> list[Any]:
        """Return the journeys with their customers and rules."""
        rules = Rule.objects.in_bulk({j.rule_id for j in page})
        for journey in page:
            journey.et_rule = rules.get(journey.rule_id)
        return super().decorated(page)

    def name(self, obj: Any) -> str:
        """Return the rule's name."""
        return str(obj.et_rule or f"journey {obj.pk}")

    def status(self, obj: Journey) -> SafeString:
        """Return the state; a control is no treated journey."""
        return badge("control" if obj.arm == "control" else obj.state)

    def started(self, obj: Journey) -> Any:
        """Return when it began."""
        return when(obj.started_at)

    def why(self, obj: Journey) -> str:
        """Return why it ended."""
        return cause_words(obj.cause) if obj.ended_at else ""

    name.short_description = "Rule"  # type: ignore[attr-defined]
    why.short_description = "Ended because"  # type: ignore[attr-defined]

    def heading(self, obj: Journey) -> str:
        """Return whose way through what it is."""
        return (
            f"{related(obj, 'rule') or 'Journey'}: {related(obj, 'customer') or 'gone'}"
        )

    def panels(self, request: HttpRequest, obj: Journey) -> Iterable[Panel]:
        """Return where it stands and its mails."""
        timer = Timer.objects.filter(pk=obj.pk).first()
        yield Panel(
            "Journey",
            facts=said(
                ("Rule", link(related(obj, "rule"))),
                ("Version", getattr(related(obj, "version"), "number", "-")),
                ("Customer", link(related(obj, "customer"))),
                ("State", badge(obj.state)),
                ("Group", badge(obj.arm)),
                ("Step", obj.step + 1),
                ("Started", when(obj.started_at)),
                ("Started by", link_to("event", obj.event_id, f"event {obj.event_id}")),
                (
                    "Speaks of",
                    link_to("event", obj.trigger_id, f"event {obj.trigger_id}"),
                ),
                ("For the same", obj.key or "-"),
                ("Due", when(timer.due_at if timer else obj.held_due_at)),
                ("Ended", when(obj.ended_at)),
                ("Because", cause_words(obj.cause) or "-"),
                ("Goal reached", when(obj.converted_at)),
            ),
        )
        mails = Message.objects.filter(journey=obj.pk).order_by("step", "revision")
        yield Panel(
            "Mails",
            columns=("Mail", "Step", "State", "Why", "Made"),
            rows=[
                (
                    link_to("message", m.pk, f"mail {m.pk}"),
                    m.step + 1,
                    badge(m.state),
                    mail_words(m.reason, m.detail),
                    when(m.created_at),
                )
                for m in mails
            ],
            empty="None yet.",
        )
