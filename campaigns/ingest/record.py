"""Record a batch of events: dedupe, identify, decide, store; all or nothing."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

from django.db import DatabaseError
from psycopg.types.numeric import Int4, Int8

from campaigns.deciding import database
from campaigns.deciding.ids import new_id
from campaigns.deciding.transaction import Decision, Restart, decide
from campaigns.deciding.write import text, text_or_none
from campaigns.domain.events import IncomingEvent, RejectedInput, SourceRef
from campaigns.domain.intake import Name, Stored, names_of, not_after
from campaigns.domain.matching import (
    Question,
    concerns_people,
    journey_questions,
    match,
    questions,
)
from campaigns.domain.people import EventRef
from campaigns.ingest import partitions
from campaigns.models import RejectedEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch; `refused` says why for each that was not taken."""

    accepted: int = 0
    duplicates: int = 0
    refused: tuple[RejectedInput, ...] = ()

    @property
    def rejected(self) -> int:
        """Return how many events were not taken."""
        return len(self.refused)

    def __add__(self, other: "Recorded") -> "Recorded":
        return Recorded(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.refused + other.refused,
        )


class EventFailed(Exception):
    """One event of the batch cannot be decided about; the others can."""

    def __init__(self, event: IncomingEvent) -> None:
        super().__init__(event.message_id)
        self.event = event


def record(
    events: Sequence[IncomingEvent],
    *,
    source: SourceRef,
    rejected: Sequence[RejectedInput] = (),
) -> Recorded:
    """Store a batch and all that follows from it; durable when this returns.

    `rejected` are those that the dialect refused; they are kept for the admin.
    A repeat changes nothing. An event whose data the database refuses is kept
    as rejected, alone. Raises DatabaseAway if nothing could be stored.
    """
    return _isolated(list(events), source, tuple(rejected))


def _isolated(
    events: list[IncomingEvent], source: SourceRef, rejected: tuple[RejectedInput, ...]
) -> Recorded:
    """Record the batch; split it only when some event's data is at fault."""
    try:
        return decide(lambda d: _record(d, events, source, rejected))
    except partitions.Missing as missing:
        partitions.create(missing.month)
        return _isolated(events, source, rejected)
    except EventFailed as failed:
        logger.exception("event could not be decided about")
        rest = [e for e in events if e.message_id != failed.event.message_id]
        return _isolated(
            rest, source, (*rejected, _refusal(failed.event, "undecidable"))
        )
    except DatabaseError as error:
        if not database.is_data_error(error) or not events:
            raise
        if len(events) == 1:
            code = f"refused_{database.sqlstate(error)}"
            return _isolated([], source, (*rejected, _refusal(events[0], code)))
        half = len(events) // 2
        first = _isolated(events[:half], source, rejected)
        return first + _isolated(events[half:], source, ())


def _refusal(event: IncomingEvent, code: str) -> RejectedInput:
    body = {"type": event.type, "event": event.name, "properties": event.properties}
    return RejectedInput(
        code=code,
        detail="The event could not be stored; its data was refused.",
        message_id=event.message_id,
        body=text(body)[:32_768],
    )


def _record(
    decision: Decision,
    events: Sequence[IncomingEvent],
    source: SourceRef,
    rejected: tuple[RejectedInput, ...],
) -> Recorded:
    fresh = _deduplicate(decision, events, source)
    stored = _fold(decision, fresh, source) if fresh else []
    partitions.require(decision.now)
    if stored:
        _write_events(stored, source, now=decision.now)
        _write_counts(stored, now=decision.now)
    if rejected and (fresh or not events):
        _write_rejected(rejected, source, now=decision.now)
    return Recorded(len(fresh), len(events) - len(fresh), rejected)


def dedupe_key(source: int, message_id: str) -> UUID:
    """Return the key that makes an event of a source count once."""
    hashed = blake2b(f"{source}:{message_id}".encode(), digest_size=16)
    return UUID(bytes=hashed.digest())


def _deduplicate(
    decision: Decision, events: Sequence[IncomingEvent], source: SourceRef
) -> list[IncomingEvent]:
    """Return the events that were never seen, the first of each repeated id."""
    first: dict[UUID, IncomingEvent] = {}
    for event in events:
        first.setdefault(dedupe_key(source.id, event.message_id), event)
    if not first:
        return []
    rows = database.run(f"dedupe_{decision.generation}", keys=list(first))
    new = {row[0] for row in rows}
    return [event for key, event in first.items() if key in new]


def _fold(
    decision: Decision, events: Sequence[IncomingEvent], source: SourceRef
) -> list[Stored]:
    intake = decision.intake
    named = [(event, names_of(event, source)) for event in events]
    known = _identify(decision, {n for _, names in named for n in names})
    linked = _Linked(named, known)
    concerned = {
        person
        for event, names in named
        for person in linked.people(names)
        if linked.moves(names) or concerns_people(intake.rules, event)
    }
    decision.lock(concerned)
    named = [(not_after(event, decision.now), names) for event, names in named]
    decision.ask(_asked(decision, named, linked, concerned))
    stored = []
    for event, names in named:
        owner = known.get(names[0])
        if owner is not None and owner not in concerned:
            stored.append(_plain(event, source, owner, now=decision.now))
            continue
        try:
            taken = intake.take(event, source, event_id=new_id(), now=decision.now)
        except (DatabaseError, Restart):
            raise
        except Exception as error:  # one event must not stop the others
            raise EventFailed(event) from error
        stored.append(taken)
    _write_identities(decision, known)
    decision.note("events", {"source": source.id, "events": [s.ref.id for s in stored]})
    return stored


def _plain(
    event: IncomingEvent, source: SourceRef, person: int, *, now: datetime
) -> Stored:
    """Return an event that no rule and no identity waits for, decided at once."""
    ref = EventRef(new_id(), now, event.occurred_at)
    return Stored(event, source, ref, person, ())


def _identify(decision: Decision, names: set[Name]) -> dict[Name, int]:
    """Look names up, claim the unknown ones; return the owner of each known one."""
    wanted = sorted(names)
    rows = database.run(
        "identities",
        namespace=[Int4(n.namespace) for n in wanted],
        value=[n.value for n in wanted],
    )
    known = {Name(row[0], row[1]): int(row[2]) for row in rows}
    intake = decision.intake
    intake.identities.update(known)
    unknown = [n for n in wanted if n not in known]
    for name in unknown:
        intake.identities[name] = new_id()
        intake.unborn.add(intake.identities[name])
    if unknown:
        _claim(intake.identities, unknown)
    return known


def _claim(identities: dict[Name, int], names: Sequence[Name]) -> None:
    written = database.count(
        "claim_identities",
        namespace=[Int4(n.namespace) for n in names],
        value=[n.value for n in names],
        customer_id=[Int8(identities[n]) for n in names],
    )
    if written < len(names):
        raise Restart


class _Linked:
    """Which known people the names of a batch tie together."""

    def __init__(
        self,
        named: Sequence[tuple[IncomingEvent, tuple[Name, ...]]],
        known: dict[Name, int],
    ) -> None:
        self._known = known
        self._parent: dict[Name, Name] = {}
        for _, names in named:
            for name in names:
                self._union(names[0], name)
        self._people: dict[Name, set[int]] = {}
        self._size: Counter[Name] = Counter()
        for name in self._parent:
            root = self._find(name)
            self._people.setdefault(root, set())
            if name in known:
                self._people[root].add(known[name])

    def _find(self, name: Name) -> Name:
        parent = self._parent.setdefault(name, name)
        while parent != self._parent[parent]:
            parent = self._parent[parent]
        self._parent[name] = parent
        return parent

    def _union(self, a: Name, b: Name) -> None:
        self._parent[self._find(b)] = self._find(a)

    def people(self, names: Sequence[Name]) -> set[int]:
        """Return the known people that these names may come to stand for."""
        return self._people[self._find(names[0])]

    def moves(self, names: Sequence[Name]) -> bool:
        """Return whether the names may change who is who."""
        root = self._find(names[0])
        group = self._people[root]
        return len(group) > 1 or any(n not in self._known for n in names)


def _asked(
    decision: Decision,
    named: Sequence[tuple[IncomingEvent, tuple[Name, ...]]],
    linked: _Linked,
    concerned: set[int],
) -> dict[int, set[Question]]:
    rules = decision.rules
    asked: dict[int, set[Question]] = {}
    for event, names in named:
        people = linked.people(names) & concerned
        if not people:
            continue
        wanted = set(questions(match(rules, event), event, now=decision.now))
        if len(people) > 1:
            for person in people:
                journeys = decision.states[person].journeys.values()
                wanted |= journey_questions(rules, journeys)
        for person in people:
            asked.setdefault(person, set()).update(wanted)
    return {person: wanted for person, wanted in asked.items() if wanted}


def _write_identities(decision: Decision, known: dict[Name, int]) -> None:
    """Give names to whom the decisions gave them, where the database says otherwise."""
    intake = decision.intake
    moved = [
        (name, owner)
        for name, owner in sorted(intake.identities.items())
        if known.get(name) != owner
    ]
    if moved:
        database.run(
            "move_identities",
            namespace=[Int4(n.namespace) for n, _ in moved],
            value=[n.value for n, _ in moved],
            customer_id=[Int8(owner) for _, owner in moved],
        )


def _write_events(
    stored: Sequence[Stored], source: SourceRef, *, now: datetime
) -> None:
    database.run(
        "insert_events",
        source_id=source.id,
        now=now,
        id=[Int8(s.ref.id) for s in stored],
        customer_id=[Int8(s.person) for s in stored],
        type=[str(s.event.type) for s in stored],
        name=[s.event.name for s in stored],
        message_id=[s.event.message_id for s in stored],
        occurred_at=[s.event.occurred_at for s in stored],
        properties=[text(s.event.properties) for s in stored],
        context=[text(s.event.context) for s in stored],
        traits=[text_or_none(s.event.traits or None) for s in stored],
        decisions=[
            text_or_none([d.as_json() for d in s.decisions] or None) for s in stored
        ],
        notes=[text_or_none(s.event.notes or None) for s in stored],
    )


def _write_counts(stored: Iterable[Stored], *, now: datetime) -> None:
    counts = Counter((d.rule, str(d.reason)) for s in stored for d in s.decisions)
    if counts:
        rows = [(rule, reason, n) for (rule, reason), n in sorted(counts.items())]
        rules, reasons, numbers = database.columns(rows, 3)
        database.run(
            "insert_counts",
            now=now,
            rule_id=rules,
            reason=reasons,
            count=numbers,
        )


def _write_rejected(
    rejected: Sequence[RejectedInput], source: SourceRef, *, now: datetime
) -> None:
    RejectedEvent.objects.bulk_create(
        RejectedEvent(
            received_at=now,
            source_id=source.id,
            code=r.code[:60],
            detail=r.detail,
            path=r.path,
            message_id=r.message_id,
            body=r.body,
        )
        for r in rejected
    )
