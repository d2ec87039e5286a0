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
from campaigns.models import Attempt, IngestState, Rule

BY: Final = "the guard of demo data"


class KeyMissing(Exception):
    """Without the provider's key, mails to people would be handed to nobody."""


def confirm_key() -> None:
    """Return if it is known where mail goes, or this is one machine's trial.

    Raises KeyMissing. One host that forgot the key would claim its share of all mails.
    """
    if not settings.PROVIDER_NAMED:
        raise KeyMissing(
            "SENDGRID_API_KEY is not set. With DATABASE_URL it must be given, on each "
            "host. To send to a simulator instead, set SENDGRID_HOST."
        )


def begin() -> None:
    """Mark the data as a demo's, before the simulator gets its first mail.

    Raises KeyMissing for data without the mark whose mails left before: they had a
    real provider, and no simulator may swallow what is planned in them.
    """
    kept = IngestState.objects.filter(pk=1)
    if kept.filter(from_demo=True).exists():
        return
    if Attempt.objects.exists():
        raise KeyMissing(
            "SENDGRID_API_KEY is not set, and mails of these data were sent with one. "
            "Set it again; to try the demo, start with fresh data (another VAR_DIR or "
            "DATABASE_URL)."
        )
    kept.update(from_demo=True)


def confirm() -> list[str]:
    """Return the names of the rules that had to be paused; before any mail leaves.

    `begin` marked the data of a demo. The first process that comes upon the mark with
    a real provider pauses every active rule, and only then takes the mark away: a
    crash in between leaves the rest to the next. What was planned is held by the
    pause, and goes on only when somebody resumes its rule.
    """
    kept = IngestState.objects.filter(pk=1)
    if settings.SIMULATED or not kept.filter(from_demo=True).exists():
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
