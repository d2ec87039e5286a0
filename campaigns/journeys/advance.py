"""Work off due timers: each journey's next decision, in one transaction without I/O."""

from collections.abc import Sequence
from typing import Final

from campaigns.deciding import database
from campaigns.deciding.ids import new_id
from campaigns.deciding.marks import mark_of
from campaigns.deciding.transaction import Decision, decide
from campaigns.deciding.triggers import load_triggers
from campaigns.domain.states import MARKETING_LANE, TRANSACTIONAL_LANE, JourneyState
from campaigns.domain.steps import advance, apply_advance

BATCH: Final = 100


def advance_due(*, limit: int = BATCH) -> int:
    """Advance up to `limit` journeys of each lane that are due; return how many."""
    return sum(
        decide(lambda d, lane=lane: _advance_lane(d, lane, limit))  # type: ignore[misc]
        for lane in (TRANSACTIONAL_LANE, MARKETING_LANE)
    )


def _advance_lane(decision: Decision, lane: int, limit: int) -> int:
    """Claim and advance; the claim never waits, so the clock may be read before."""
    mark = mark_of("timers", lane)
    rows = database.run(
        "claim_timers", lane=lane, now=decision.now, mark=mark.start(), limit=limit
    )
    if not rows:
        return 0
    decision.lock(row[1] for row in rows)
    advance_journeys(decision, [(row[1], row[0]) for row in rows])
    mark.took(max(row[2] for row in rows))
    return len(rows)


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
        state = decision.states[person]
        result = advance(
            journey,
            state,
            triggers[journey.trigger.id].trigger,
            decision.rules,
            now=decision.now,
            new_id=new_id,
        )
        decision.states[person] = apply_advance(
            state, journey, result, decision.rules, now=decision.now
        )
    decision.note("due", {"journeys": [journey.id for _, journey in due]})
