"""What a resume, an archive or a release does to one person's journeys."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from campaigns.domain.people import Journey, State
from campaigns.domain.ruleset import Ruleset, Version
from campaigns.domain.states import (
    OF_A_PAUSE,
    JourneyState,
    MessageState,
    check_move,
)
from campaigns.domain.timing import next_open


def stop(
    state: State,
    *,
    rule: int,
    cause: Mapping[str, object],
    now: datetime,
) -> State:
    """Return the state with every open journey of the rule cancelled.

    So are its mails that were held when they were to be sent a second time.
    """
    for journey in state.open_journeys():
        if journey.rule == rule:
            state = state.end_journey(
                journey, JourneyState.CANCELLED, cause=cause, now=now
            )
    for mail in tuple(state.mails.values()):
        held = mail.rule == rule and mail.state is MessageState.HELD
        if held and mail.redriven_at is not None:
            state = state.with_mail(mail.cancel("rule_archived", now=now))
    return state


def resume(state: State, rules: Ruleset, *, rule: int, now: datetime) -> State:
    """Return the state with what the pause parked waiting or queued again.

    What belongs to a version that cannot be read stays where it is.
    """
    for journey in state.open_journeys():
        version = rules.version(journey.version)
        held = journey.rule == rule and journey.state is JourneyState.HELD
        if held and version is not None:
            awake = _awake(state, journey, version, rules, now=now)
            state = state.with_journey(awake)
    for mail in tuple(state.mails.values()):
        held = mail.rule == rule and mail.state is MessageState.HELD
        if held and mail.reason in OF_A_PAUSE and rules.version(mail.version):
            state = release(state, mail.id, now=now)
    return state


def _awake(
    state: State, journey: Journey, version: Version, rules: Ruleset, *, now: datetime
) -> Journey:
    check_move(journey.state, JourneyState.WAITING)
    due = max(journey.held_due_at or now, now)
    if not journey.unbegun:
        step = version.step(journey.step)
        zone = rules.policy.zone(state.person.time_zone)
        due = next_open(due, step.window, step.quiet, zone)
    return replace(journey, state=JourneyState.WAITING, due_at=due, held_due_at=None)


def release(state: State, mail_id: int, *, now: datetime) -> State:
    """Return the state with a held mail queued again, to be looked at anew."""
    mail = state.mails[mail_id].move(
        MessageState.QUEUED, not_before=now, reason="", detail=None
    )
    return state.with_mail(mail)
