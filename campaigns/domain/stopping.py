"""What a resume, an archive or a release does to one person's journeys."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from campaigns.domain.people import Journey, State
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.states import (
    JourneyState,
    MessageState,
    SkipReason,
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
    """Return the state with every open journey of the rule cancelled."""
    for journey in state.open_journeys():
        if journey.rule == rule:
            state = state.end_journey(
                journey, JourneyState.CANCELLED, cause=cause, now=now
            )
    return state


def resume(state: State, rules: Ruleset, *, rule: int, now: datetime) -> State:
    """Return the state with what the pause parked waiting or queued again."""
    for journey in state.open_journeys():
        if journey.rule != rule:
            continue
        if journey.state is JourneyState.HELD:
            state = state.with_journey(_awake(state, journey, rules, now=now))
    for mail in tuple(state.mails.values()):
        paused = mail.reason == SkipReason.RULE_PAUSED
        if mail.rule == rule and mail.state is MessageState.HELD and paused:
            state = release(state, mail.id, now=now)
    return state


def _awake(state: State, journey: Journey, rules: Ruleset, *, now: datetime) -> Journey:
    check_move(journey.state, JourneyState.WAITING)
    step = rules.versions[journey.version].step(journey.step)
    zone = rules.policy.zone(state.person.time_zone)
    due = max(journey.held_due_at or now, now)
    return replace(
        journey,
        state=JourneyState.WAITING,
        due_at=next_open(due, step.window, step.quiet, zone),
        held_due_at=None,
    )


def release(state: State, mail_id: int, *, now: datetime) -> State:
    """Return the state with a held mail queued again, to be looked at anew."""
    mail = state.mails[mail_id].move(
        MessageState.QUEUED, not_before=now, reason="", detail=None
    )
    return state.with_mail(mail)
