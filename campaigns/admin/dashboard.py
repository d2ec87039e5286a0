"""The first page: what happened today, and what waits for somebody."""

from typing import TYPE_CHECKING, Any, Final

from django import template as django_template
from django.utils import timezone

from campaigns.admin.base import viewer_zone
from campaigns.admin.company import health
from campaigns.admin.details import allowed
from campaigns.admin.system import beat_state
from campaigns.deciding import clock
from campaigns.models import ClusterBeat, Event, Provider, RejectedEvent, Rule
from campaigns.reports.counts import message_states, quickly

if TYPE_CHECKING:
    from django.http import HttpRequest

CAP: Final = 100_000
STATES: Final = (
    "queued", "claimed", "sending", "sent", "skipped", "held", "unknown", "failed",
    "cancelled",
)  # fmt: skip
ATTENTION: Final = {
    "held": "held back; mend the template, or resume the rule",
    "unknown": "handed over, and no answer came; never sent again on their own",
    "failed": "failed for good",
}

register = django_template.Library()


@register.inclusion_tag("admin/campaigns/dashboard.html", takes_context=True)
def dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Give the first page its cards; those behind which the viewer may look."""
    request: HttpRequest = context["request"]
    with timezone.override(viewer_zone(request)):
        now = timezone.localtime(clock.now())
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        found: dict[str, Any] = {"zone": timezone.get_current_timezone_name()}
        if allowed(request, "view_event"):
            found["events"] = _capped(Event, midnight)
            found["rejected"] = _capped(RejectedEvent, midnight)
        if allowed(request, "view_message"):
            found.update(_mails())
        if allowed(request, "view_rule"):
            found["active_rules"] = Rule.objects.filter(status="active").count()
        if allowed(request, "view_clusterbeat"):
            found["beats"] = [
                (b.name, beat_state(b)) for b in ClusterBeat.objects.all()
            ]
        if allowed(request, "view_provider"):
            found["providers"] = [(p.name, health(p)) for p in Provider.objects.all()]
        return found


def _capped(model: Any, since: Any) -> str:
    """Count the rows since then, up to CAP and for no longer than is pleasant."""
    rows = model.objects.filter(received_at__gte=since).order_by()
    count = quickly(lambda: rows[: CAP + 1].count())
    if count is None:
        return "many"
    return f"{CAP:,}+" if count > CAP else f"{count:,}"


def _mails() -> dict[str, Any]:
    states = message_states()
    if states is None:
        return {"mails": None}
    return {
        "mails": [(s, f"{states[s]:,}") for s in STATES if states.get(s)],
        "attention": [
            (s, f"{states[s]:,}", w) for s, w in ATTENTION.items() if states.get(s)
        ],
    }
