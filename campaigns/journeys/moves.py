"""Move a rule's journeys after a resume or an archive, in batches of people.

The rule's status is committed before; from then on advance and gate obey it,
so what follows here is in nobody's way and may end at any batch. What a killed
process leaves behind, `finish_moves` finds.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from campaigns.deciding.transaction import Decision, decide, roots
from campaigns.domain.people import State
from campaigns.domain.states import (
    OPEN_JOURNEY,
    JourneyState,
    MessageState,
    RuleStatus,
    SkipReason,
)
from campaigns.domain.stopping import resume, stop
from campaigns.models import Journey, Message, Rule

BATCH: Final = 200
CAUSE: Final = {"reason": "rule_archived"}

Batch = Sequence[tuple[int, int]]


def move_journeys(rule_id: int, *, limit_s: float) -> bool:
    """Do what the rule's status asks of its journeys; True when nothing is left.

    Begins no batch after `limit_s` seconds.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not decide(lambda d: _move_batch(d, rule_id)):
            return True
    return False


def finish_moves(*, limit_s: float = 20.0) -> int:
    """Go on with resumes and archives that were cut short; return how many rules.

    For housekeeping. Begins no batch after `limit_s` seconds; the next call
    goes on.
    """
    end = time.monotonic() + limit_s
    waiting = _unfinished()
    for rule_id in waiting:
        move_journeys(rule_id, limit_s=end - time.monotonic())
    return len(waiting)


def _unfinished() -> list[int]:
    active = Q(status=RuleStatus.ACTIVE) & (
        Exists(_parked(OuterRef("pk"))) | Exists(_held_back(OuterRef("pk")))
    )
    archived = Q(status=RuleStatus.ARCHIVED) & Exists(_open(OuterRef("pk")))
    found = Rule.objects.filter(active | archived).order_by("pk")
    return list(found.values_list("pk", flat=True))


# Each of these looks at the open journeys of one rule (an id, or a reference from
# an outer query): journey_open_idx, message_once.
def _open(rule: Any) -> QuerySet[Journey]:
    return Journey.objects.filter(
        rule_id=rule, ended_at=None, state__in=list(OPEN_JOURNEY)
    )


def _parked(rule: Any) -> QuerySet[Journey]:
    return _open(rule).filter(state=JourneyState.HELD)


def _held_back(rule: Any) -> QuerySet[Journey]:
    held = Message.objects.filter(
        journey=OuterRef("pk"),
        step=OuterRef("step"),
        revision=OuterRef("revision"),
        state=MessageState.HELD,
        reason=SkipReason.RULE_PAUSED,
    )
    return _open(rule).filter(Exists(held), state=JourneyState.SENDING)


def _move_batch(decision: Decision, rule_id: int) -> int:
    """Move one batch as the rule's status asks now; return how many journeys."""
    batch: Batch = []
    kind, work = "resume", _resume
    match decision.rules.status(rule_id):
        case RuleStatus.ACTIVE:
            batch = _pick(_parked(rule_id)) or _pick(_held_back(rule_id))
        case RuleStatus.ARCHIVED:
            batch, kind, work = _pick(_open(rule_id)), "archive", _stop
        case RuleStatus.DRAFT | RuleStatus.PAUSED:
            pass  # Paused again meanwhile: what is parked stays parked.
    if not batch:
        return 0
    owners = roots(customer for _, customer in batch)
    decision.lock(owners.values())
    people = sorted(set(owners.values()))
    journeys = [
        journey.id
        for person in people
        for journey in decision.states[person].open_journeys()
        if journey.rule == rule_id
    ]
    for person in people:
        decision.states[person] = work(decision, person, rule_id)
    decision.note(kind, {"rule": rule_id, "journeys": sorted(journeys)})
    return len(batch)


def _resume(decision: Decision, person: int, rule_id: int) -> State:
    state = decision.states[person]
    return resume(state, decision.rules, rule=rule_id, now=decision.now)


def _stop(decision: Decision, person: int, rule_id: int) -> State:
    state = decision.states[person]
    return stop(state, rule=rule_id, cause=CAUSE, now=decision.now)


def _pick(journeys: QuerySet[Journey]) -> Batch:
    return list(journeys.values_list("pk", "customer_id")[:BATCH])
