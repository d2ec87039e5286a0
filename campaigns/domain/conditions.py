"""Conditions: read, written, and held against facts with the reason for each part.

Everything that other modules need of conditions can be had from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import assert_never

from campaigns.domain.comparing import compare, expected, look_up, show
from campaigns.domain.condition_tree import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    ConditionInvalid,
    Did,
    Not,
    dump_condition,
    parse_condition,
)
from campaigns.domain.durations import elapsed
from campaigns.domain.history import (
    HistoryNeed,
    Past,
    PastEvent,
    history_questions,
    need_of,
)

__all__ = [
    "AllOf", "AnyOf", "Compare", "Condition", "ConditionInvalid", "Did", "Facts",
    "HistoryNeed", "Leaf", "Not", "Past", "PastEvent", "Verdict", "dump_condition",
    "evaluate", "history_questions", "parse_condition",
]  # fmt: skip

_DID_WORDS = {"at_least": "at least", "at_most": "at most", "exactly": "exactly"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition may look at.

    `event` has name, properties, context; `customer` the traits, with email
    and user_id among them; `journey` has woken_by, the id of the event that
    woke it (null after a time-out); all as JSON values.
    """

    event: Mapping[str, object]
    customer: Mapping[str, object]
    journey: Mapping[str, object]
    past: Past


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison: where it stands ("/all/1"), what it saw, and why.

    Either `field` or `did` is set. `holds` is its own, before any "not" above it.
    """

    path: str
    field: str | None
    did: str | None
    op: str
    expected: str
    seen: str
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the whole holds, with every comparison, in the order of the tree."""

    holds: bool
    leaves: tuple[Leaf, ...]

    def as_json(self) -> dict[str, object]:
        """Return the form that decisions and skipped messages keep."""
        return {"holds": self.holds, "leaves": [asdict(leaf) for leaf in self.leaves]}


def evaluate(condition: Condition, facts: Facts, *, now: datetime) -> Verdict:
    """Hold a condition against the facts; no facts make it raise.

    Every comparison is made, also where the first decides, so that the
    explanation is whole. "Within" a duration counts days as 24 hours.
    """
    leaves: list[Leaf] = []
    return Verdict(_holds(condition, facts, now, "", leaves), tuple(leaves))


def _holds(
    condition: Condition, facts: Facts, now: datetime, at: str, leaves: list[Leaf]
) -> bool:
    match condition:
        case AllOf(parts=parts):
            return False not in _each(parts, facts, now, f"{at}/all", leaves)
        case AnyOf(parts=parts):
            return True in _each(parts, facts, now, f"{at}/any", leaves)
        case Not(part=part):
            return not _holds(part, facts, now, f"{at}/not", leaves)
        case Compare():
            leaf = _compare(condition, facts, now, at)
        case Did():
            leaf = _did(condition, facts, now, at)
        case _:
            raise TypeError(f"{type(condition).__name__} is no condition")
    leaves.append(leaf)
    return leaf.holds


def _each(
    parts: Sequence[Condition],
    facts: Facts,
    now: datetime,
    at: str,
    leaves: list[Leaf],
) -> list[bool]:
    return [
        _holds(part, facts, now, f"{at}/{number}", leaves)
        for number, part in enumerate(parts)
    ]


def _compare(node: Compare, facts: Facts, now: datetime, at: str) -> Leaf:
    root, _, path = node.field.partition(".")
    sources = {
        "event": facts.event,
        "customer": facts.customer,
        "journey": facts.journey,
    }
    seen = look_up(sources[root], path)
    holds, reason = compare(node, seen, now=now)
    return Leaf(
        path=at,
        field=node.field,
        did=None,
        op=node.op,
        expected=expected(node),
        seen=show(seen),
        holds=holds,
        reason=reason,
    )


def _did(node: Did, facts: Facts, now: datetime, at: str) -> Leaf:
    since = now - elapsed(node.within)
    happened = [
        event
        for event in facts.past.events(node.did, since, now)
        if since < event.occurred_at <= now
    ]
    fitting = [event for event in happened if _fits(node.where, event, facts, now)]
    holds = _counted(node, len(fitting))
    seen = _times(len(fitting), more=len(happened) >= need_of(node).limit)
    wanted = f"{_DID_WORDS[node.op]} {_times(node.times)} within {node.within}"
    which = " with the values asked for" if node.where else ""
    return Leaf(
        path=at,
        field=None,
        did=node.did,
        op=node.op,
        expected=wanted,
        seen=seen,
        holds=holds,
        reason=f"{node.did}{which}: happened {seen}, asked for is {wanted}",
    )


def _fits(
    where: Condition | None, event: PastEvent, facts: Facts, now: datetime
) -> bool:
    if where is None:
        return True
    # A "where" can look at nothing else (condition_tree), and is not explained itself.
    then = Facts({"properties": event.properties}, {}, {}, facts.past)
    return _holds(where, then, now, "", [])


def _counted(node: Did, count: int) -> bool:
    match node.op:
        case "at_least":
            return count >= node.times
        case "at_most":
            return count <= node.times
        case "exactly":
            return count == node.times
        case _:
            assert_never(node.op)


def _times(count: int, *, more: bool = False) -> str:
    word = "once" if count == 1 else f"{count} times"
    return f"{word} or more" if more else word
