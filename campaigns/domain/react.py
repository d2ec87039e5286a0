"""What one event does to one person: exits, wakes, conversions, restarts, entries."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from campaigns.domain.entry import (
    Arrival,
    Decision,
    Enter,
    NotEntered,
    Restart,
    decide_entry,
    exit_cause,
    find_exit,
    restart_journey,
    start_journey,
)
from campaigns.domain.matching import Touches
from campaigns.domain.people import Journey, State
from campaigns.domain.ruleset import Ruleset, Version
from campaigns.domain.states import Arm, JourneyState, Reason
from campaigns.domain.steps import NewId, look_for_wake


def react(
    state: State,
    arrival: Arrival,
    touches: Touches,
    rules: Ruleset,
    *,
    now: datetime,
    new_id: NewId,
) -> tuple[State, tuple[Decision, ...]]:
    """Fold one event into a person's state; return it with the decisions made.

    The order is: what is under way is stopped, woken and counted first, then
    rules are entered. No rule has an exit among its triggers, so an event ends
    and starts journeys of different rules.
    """
    state = replace(state, past=state.past.with_event(arrival.past))
    state = look_back(state, rules, names=frozenset({arrival.event.name}), now=now)
    decisions: list[Decision] = []
    for version in touches.entries:
        state, decision = _enter(state, arrival, version, rules, now=now, new_id=new_id)
        decisions.append(decision)
    return state, tuple(decisions)


def look_back(
    state: State, rules: Ruleset, *, now: datetime, names: frozenset[str] | None = None
) -> State:
    """Return the state after looking in the known past for exits, wakes and goals.

    With `names`, only what waits for one of them is looked at.
    """
    for journey in tuple(state.journeys.values()):
        if journey.watched_until is None:
            continue
        version = rules.version(journey.version)
        if version is None:
            continue
        if names is not None and not names & version.later_names:
            continue
        state = _look_back_one(state, journey, version, rules, now=now)
    return state


def _look_back_one(
    state: State, journey: Journey, version: Version, rules: Ruleset, *, now: datetime
) -> State:
    if journey.is_open:
        found = find_exit(
            version, journey.exit_value, journey.event.occurred_at, state, until=now
        )
        if found is not None:
            state = state.end_journey(
                journey, JourneyState.EXITED, cause=exit_cause(found), now=now
            )
        else:
            state = state.with_journey(look_for_wake(state, journey, rules, now=now))
    return _convert(state, state.journeys[journey.id], version)


def _convert(state: State, journey: Journey, version: Version) -> State:
    goal = version.document.goal
    if goal is None or journey.goal_until is None or journey.converted_at is not None:
        return state
    found = [
        e
        for e in state.past.events(
            goal.event, journey.event.occurred_at, journey.goal_until
        )
        if e.id != journey.event.id
    ]
    if not found:
        return state
    first = min(found, key=lambda e: e.order)
    return state.with_journey(
        replace(journey, converted_at=first.occurred_at, converted_by=first.id)
    )


def _enter(
    state: State,
    arrival: Arrival,
    version: Version,
    rules: Ruleset,
    *,
    now: datetime,
    new_id: NewId,
) -> tuple[State, Decision]:
    decided = decide_entry(version, arrival, state, now=now)
    match decided:
        case NotEntered(reason, detail):
            return state, _decision(version, reason, detail)
        case Restart(journey):
            state = restart_journey(state, journey, arrival.ref, rules, now=now)
            return state, _decision(version, Reason.RESTARTED, {}, journey)
        case Enter():
            state, journey = start_journey(
                state,
                decided,
                arrival,
                rules,
                now=now,
                new_id=new_id,
            )
            state = _convert(state, journey, version)
            control = journey.arm is Arm.CONTROL
            reason = Reason.CONTROL if control else Reason.ENTERED
            return state, _decision(version, reason, {}, journey)


def _decision(
    version: Version,
    reason: Reason,
    detail: Mapping[str, object],
    journey: Journey | None = None,
) -> Decision:
    return Decision(
        rule=version.rule,
        version=version.id,
        reason=reason,
        detail=detail,
        journey=journey.id if journey else None,
    )
