"""Data that the simulator worked on must not begin to mail with a real provider.

Their rules are active, their customers are whoever somebody made up, and their
journeys wait with addresses that may well belong to strangers.
"""

from contextlib import suppress
from typing import Final

from django.conf import settings

from campaigns.domain.states import RuleStatus
from campaigns.journeys.publishing import pause
from campaigns.journeys.refusals import NotAllowedNow
from campaigns.models import IngestState, Rule

BY: Final = "the guard of demo data"


def confirm() -> list[str]:
    """Return the names of the rules that had to be paused; before any mail leaves.

    With the simulator it marks the data as a demo's. The first process that comes
    upon the mark with a real provider pauses every active rule, and only then takes
    the mark away: a crash in between leaves the rest to the next. What was planned
    is held by the pause, and goes on only when somebody resumes its rule.
    """
    kept = IngestState.objects.filter(pk=1)
    from_demo = kept.values_list("from_demo", flat=True).first()
    if settings.SIMULATED:
        if from_demo is False:
            kept.update(from_demo=True)
        return []
    if not from_demo:
        return []
    active = Rule.objects.filter(status=RuleStatus.ACTIVE).order_by("name")
    names = []
    for rule in active:
        with suppress(NotAllowedNow):  # another process was here first
            pause(rule.pk, by=BY)
            names.append(rule.name)
    kept.update(from_demo=False)
    return names


def paused(names: list[str]) -> str:
    """Return what became of those rules, and what to do, for the operator."""
    return (
        "These data come from a demo with the simulator, and now there is a "
        "SENDGRID_API_KEY. So that nobody is mailed by accident, every active rule "
        f"was paused: {', '.join(names)}. Resuming one also goes on with the demo's "
        "customers that wait in it. To begin without them, stop, and start with "
        "fresh data (another VAR_DIR or DATABASE_URL)."
    )
