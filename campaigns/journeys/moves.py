"""Move a rule's journeys after a resume or an archive, in batches of people.

The rule's status is committed before; from then on advance and gate obey it,
so what follows here is in nobody's way and may end at any batch. Each batch
goes on after the last one's ids, so a million journeys are read once, not once
for each batch. What a killed process leaves behind, `finish_moves` finds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.db.models import QuerySet

from campaigns.deciding import rulesets
from campaigns.deciding.transaction import Decision, decide, roots
from campaigns.domain.people import State
from campaigns.domain.states import (
    OF_A_PAUSE,
    OPEN_JOURNEY,
    JourneyState,
    MessageState,
    RuleStatus,
)
from campaigns.domain.stopping import resume, stop
from campaigns.models import Journey, Message, Rule

BATCH: Final = 200
CAUSE: Final = {"reason": "rule_archived"}

Batch = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Round:
    """One way through a rule's rows, in the order of their ids."""

    status: RuleStatus
    find: Callable[[], "QuerySet[Any]"]  # of every rule

    def pick(self, rule: int, after: int) -> Batch:
        """Return the next (id, customer) pairs."""
        rows = self.find().filter(rule_id=rule, pk__gt=after).order_by("pk")
        return list(rows.values_list("pk", "customer_id")[:BATCH])

    def is_left(self, rule: int, *, but: Sequence[int]) -> bool:
        """Return whether there is any, other than of those versions.

        In an order that only the round's index has: where nothing is left, EXISTS,
        or an equal sign, would have the planner read a whole table to find it out.
        """
        rows = self.find().filter(rule_id__gte=rule, rule_id__lte=rule)
        if but:
            rows = rows.exclude(version_id__in=but)
        return bool(rows.order_by("rule_id", "pk").values_list("pk")[:1])


def move_journeys(rule_id: int, *, limit_s: float) -> bool:
    """Do what the rule's status asks of its journeys; True when nothing is left.

    Begins no batch after `limit_s` seconds.
    """
    end = time.monotonic() + limit_s
    for one in ROUNDS:
        after: int | None = 0
        while after is not None:
            if time.monotonic() >= end:
                return False
            after = decide(partial(_move_batch, rule_id=rule_id, one=one, after=after))
    return True


def finish_moves(*, limit_s: float = 20.0) -> int:
    """Go on with resumes and archives that were cut short; return how many rules.

    For housekeeping. Begins no batch after `limit_s` seconds; the next call
    goes on. So does what was held while its version could not be read.
    """
    end = time.monotonic() + limit_s
    waiting = _unfinished()
    for rule_id in waiting:
        move_journeys(rule_id, limit_s=end - time.monotonic())
    return len(waiting)


def _unfinished() -> list[int]:
    unreadable = [u.version for u in rulesets.unreadable()]
    rules = Rule.objects.filter(status__in={one.status for one in ROUNDS})
    return [
        rule
        for rule, status in rules.order_by("pk").values_list("pk", "status")
        if _is_anything_left(rule, status, unreadable)
    ]


def _is_anything_left(rule: int, status: str, unreadable: Sequence[int]) -> bool:
    # What is of a version that cannot be read is resumed later, but archived at once.
    but = unreadable if status == RuleStatus.ACTIVE else ()
    return any(one.is_left(rule, but=but) for one in ROUNDS if one.status == status)


def _open() -> QuerySet[Journey]:
    """Return what an archive ends. By journey_open_idx."""
    return Journey.objects.filter(ended_at=None, state__in=list(OPEN_JOURNEY))


def _parked() -> QuerySet[Journey]:
    """Return what a pause parked. By journey_held_idx."""
    return Journey.objects.filter(held_due_at__isnull=False, state=JourneyState.HELD)


def _held_back() -> QuerySet[Message]:
    """Return mails that a pause holds back. By message_held_idx."""
    return Message.objects.filter(state=MessageState.HELD, reason__in=list(OF_A_PAUSE))


def _redriven() -> QuerySet[Message]:
    """Return held mails for which no journey waits. By message_held_idx."""
    return Message.objects.filter(state=MessageState.HELD, redriven_at__isnull=False)


ROUNDS: Final = (
    _Round(RuleStatus.ACTIVE, _parked),
    _Round(RuleStatus.ACTIVE, _held_back),
    _Round(RuleStatus.ARCHIVED, _open),
    _Round(RuleStatus.ARCHIVED, _redriven),
)


def _move_batch(
    decision: Decision, *, rule_id: int, one: _Round, after: int
) -> int | None:
    """Move the round's next batch; return its last id, None if there is no more.

    Nothing is moved if the status is not the round's: a rule that was paused
    again meanwhile keeps parked what is parked.
    """
    if decision.rules.status(rule_id) is not one.status:
        return None
    batch = one.pick(rule_id, after)
    if not batch:
        return None
    owners = roots(customer for _, customer in batch)
    decision.lock(owners.values())
    if one.find in (_held_back, _redriven):
        decision.load_mails(mail for mail, _ in batch)
    _move_people(decision, sorted(set(owners.values())), rule_id)
    return batch[-1][0]


def _move_people(decision: Decision, people: Sequence[int], rule_id: int) -> None:
    journeys = [
        journey.id
        for person in people
        for journey in decision.states[person].open_journeys()
        if journey.rule == rule_id
    ]
    archived = decision.rules.status(rule_id) is RuleStatus.ARCHIVED
    for person in people:
        state = decision.states[person]
        moved = _stopped if archived else _resumed
        decision.states[person] = moved(decision, state, rule_id)
    kind = "archive" if archived else "resume"
    decision.note(kind, {"rule": rule_id, "journeys": sorted(journeys)})


def _resumed(decision: Decision, state: State, rule_id: int) -> State:
    return resume(state, decision.rules, rule=rule_id, now=decision.now)


def _stopped(decision: Decision, state: State, rule_id: int) -> State:
    return stop(state, rule=rule_id, cause=CAUSE, now=decision.now)
