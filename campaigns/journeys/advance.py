"""Work off due timers: each journey's next decision, in one transaction without I/O."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from msgspec.structs import replace

from campaigns.deciding import clock, database
from campaigns.deciding.ids import new_id
from campaigns.deciding.marks import mark_of
from campaigns.deciding.transaction import Decision, decide
from campaigns.deciding.triggers import load_triggers
from campaigns.domain.people import Journey, State
from campaigns.domain.states import MARKETING_LANE, TRANSACTIONAL_LANE, JourneyState
from campaigns.domain.steps import Trigger, advance, apply_advance
from campaigns.metrics import counted

logger = logging.getLogger(__name__)

BATCH: Final = 100
PUT_OFF: Final = timedelta(minutes=5)


def advance_due(*, limit: int = BATCH) -> int:
    """Advance up to `limit` journeys of each lane that are due; return how many."""
    done = 0
    for lane in _lanes_due():
        late = decide(partial(_advance_lane, lane=lane, limit=limit), stage="advance")
        for each in late:
            counted.ADVANCED.labels(counted.lane_name(lane)).observe(
                each.total_seconds()
            )
        done += len(late)
    return done


def _lanes_due() -> list[int]:
    """Return the lanes in which a timer is due, by one look without locks."""
    ((urgent, usual, told),) = database.run(
        "timers_due",
        urgent_mark=mark_of("timers", TRANSACTIONAL_LANE).start(),
        mark=mark_of("timers", MARKETING_LANE).start(),
    )
    now = clock.now(told)
    first = {TRANSACTIONAL_LANE: urgent, MARKETING_LANE: usual}
    return [lane for lane, due in first.items() if due is not None and due <= now]


def _advance_lane(decision: Decision, lane: int, limit: int) -> list[timedelta]:
    """Claim and advance; return how late each was.

    The claim never waits, so the clock may be read before.
    """
    mark = mark_of("timers", lane)
    rows = database.run(
        "claim_timers", lane=lane, now=decision.now, mark=mark.start(), limit=limit
    )
    if not rows:
        return []
    decision.lock(row[1] for row in rows)
    advance_journeys(decision, [(row[1], row[0]) for row in rows])
    mark.took(max(row[2] for row in rows))
    return [decision.now - row[2] for row in rows]


def advance_journeys(decision: Decision, owned: Sequence[tuple[int, int]]) -> None:
    """Advance these (customer, journey) pairs of locked people whose time has come."""
    due = [
        (person, journey)
        for person, key in owned
        if (journey := decision.states[person].journeys.get(key))
        and journey.state is JourneyState.WAITING
    ]
    triggers = load_triggers(journey.trigger for _, journey in due)
    decision.ask_conditions((person, journey.version) for person, journey in due)
    for person, journey in due:
        trigger = triggers[journey.trigger.id].trigger
        decision.states[person] = _advanced(decision, person, journey, trigger)
    decision.note("due", {"journeys": [journey.id for _, journey in due]})


def _advanced(
    decision: Decision, person: int, journey: Journey, trigger: Trigger
) -> State:
    """Return the person's state after the journey's decision.

    A journey that cannot be decided about is put off: at the head of its lane
    it would stop all behind it.
    """
    state, now = decision.states[person], decision.now
    try:
        result = advance(
            journey, state, trigger, decision.rules, now=now, new_id=new_id
        )
        return apply_advance(state, journey, result, decision.rules, now=now)
    except Exception:
        logger.exception(
            "journey %s could not be advanced",
            journey.id,
            extra={"journey_id": journey.id},
        )
        return state.with_journey(replace(journey, due_at=now + PUT_OFF))
