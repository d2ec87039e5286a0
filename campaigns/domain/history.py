"""What a condition asks of a person's past, and the form of the answer."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from campaigns.domain.condition_tree import AllOf, AnyOf, Condition, Did, Not
from campaigns.domain.durations import Duration

WHERE_LIMIT: Final = 1000


class PastEvent(Struct, frozen=True):
    """One event of the person, as conditions see it."""

    id: int
    name: str
    occurred_at: datetime
    properties: Mapping[str, object]
    source: str = ""
    received_at: datetime | None = None

    @property
    def order(self) -> tuple[datetime, datetime, int]:
        """Sort key: when it happened, then when it came; ids of processes interleave."""
        return (self.occurred_at, self.received_at or self.occurred_at, self.id)


class Past(Protocol):
    """A person's past: rows of a database, or a list in a simulation."""

    def events(
        self, name: str, since: datetime, until: datetime
    ) -> Sequence[PastEvent]:
        """Return the events of this name between the times, any order.

        May leave out the oldest beyond the limit of the need that asked.
        """
        ...


class HistoryNeed(Struct, frozen=True):
    """One question: the events of a name in the time `within` before now.

    `limit` is how many of the newest are enough, `needs_properties` whether
    more than their times is read.
    """

    name: str
    within: Duration
    limit: int
    needs_properties: bool


def history_questions(condition: Condition | None) -> tuple[HistoryNeed, ...]:
    """Return what an evaluation would ask, each question once."""
    if condition is None:
        return ()
    return tuple(dict.fromkeys(need_of(did) for did in _dids(condition)))


def need_of(did: Did) -> HistoryNeed:
    """Return the question that this part of a condition asks."""
    return HistoryNeed(
        name=did.did,
        within=did.within,
        limit=did.times + 1 if did.where is None else WHERE_LIMIT,
        needs_properties=did.where is not None,
    )


def _dids(condition: Condition) -> Iterator[Did]:
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from _dids(part)
        case Not(part=part):
            yield from _dids(part)
        case Did():
            yield condition
        case _:
            return
