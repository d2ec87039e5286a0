"""Record a batch of events: dedupe, identify, decide, store; all or nothing."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any, Final

from django.db import DatabaseError
from msgspec.json import encode

from campaigns.deciding import database
from campaigns.deciding.database import Call, call
from campaigns.deciding.ids import new_id
from campaigns.deciding.transaction import Decision, Restart, decide
from campaigns.deciding.write import json_or_none, text
from campaigns.domain.events import IncomingEvent, RejectedInput, SourceRef
from campaigns.domain.intake import Intake, Name, Stored, not_after
from campaigns.domain.matching import (
    Question,
    concerns_people,
    journey_questions,
    match,
    questions,
)
from campaigns.domain.people import EventRef
from campaigns.ingest import partitions
from campaigns.ingest.arrivals import Arrived, Link, arrivals, links
from campaigns.metrics import counted
from campaigns.models import RejectedEvent

logger = logging.getLogger(__name__)

# Events that nothing waits for, from which on they are worth a statement of their own.
WORTH_A_STATEMENT: Final = 20


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

    def __init__(self, event: IncomingEvent, source: SourceRef) -> None:
        super().__init__(event.message_id)
        self.event = event
        self._source = source

    def of(self, batch: "Batch") -> bool:
        """Return whether the event is one of that batch's."""
        return self._source.id == batch.source.id


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought; `rejected` are those that the dialect refused.

    `read_at` is the time of its making by perf_counter, for the metrics.
    """

    events: Sequence[IncomingEvent]
    source: SourceRef
    rejected: tuple[RejectedInput, ...] = ()
    read_at: float = field(default_factory=perf_counter, compare=False)

    def without(self, event: IncomingEvent, code: str) -> "Batch":
        """Return the batch with that event among the rejected."""
        rest = [e for e in self.events if e.message_id != event.message_id]
        return Batch(rest, self.source, (*self.rejected, _refusal(event, code)))


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
    return record_all([Batch(events, source, tuple(rejected))])[0]


def record_all(batches: Sequence[Batch]) -> list[Recorded]:
    """Store batches in one transaction, as `record` does each; results in their order.

    What is wrong with one of them harms no other.
    """
    results = _record_all(batches)
    _count(batches, results)
    return results


def _count(batches: Sequence[Batch], results: Sequence[Recorded]) -> None:
    now = perf_counter()
    for batch, result in zip(batches, results, strict=True):
        kind = counted.word(batch.source.kind)
        for outcome, number in (
            ("accepted", result.accepted),
            ("duplicate", result.duplicates),
            ("rejected", result.rejected),
        ):
            if number:
                counted.EVENTS.labels(kind, outcome).inc(number)
        if result.accepted:
            counted.DECISIONS.labels(kind).observe(now - batch.read_at)


def _record_all(batches: Sequence[Batch]) -> list[Recorded]:
    recording = _Recording(batches)
    try:
        return decide(recording.record, stage="ingest", state=recording.opening)
    except partitions.Missing as missing:
        partitions.create(missing.month)
        return _record_all(batches)
    except EventFailed as failed:
        logger.exception("event could not be decided about")
        return _record_all(
            [
                b.without(failed.event, "undecidable") if failed.of(b) else b
                for b in batches
            ]
        )
    except DatabaseError as error:
        if not database.is_data_error(error) or not any(b.events for b in batches):
            raise
        return _halved(batches, code=f"refused_{database.sqlstate(error)}")


def _halved(batches: Sequence[Batch], *, code: str) -> list[Recorded]:
    """Record what the database refused in two parts, until the fault stands alone."""
    half = len(batches) // 2
    if half:
        return _record_all(batches[:half]) + _record_all(batches[half:])
    (batch,) = batches
    if len(batch.events) == 1:
        return _record_all([batch.without(batch.events[0], code)])
    half = len(batch.events) // 2
    first = Batch(batch.events[:half], batch.source, batch.rejected)
    second = Batch(batch.events[half:], batch.source)
    return [_record_all([first])[0] + _record_all([second])[0]]


def _refusal(event: IncomingEvent, code: str) -> RejectedInput:
    body = {"type": event.type, "event": event.name, "properties": event.properties}
    return RejectedInput(
        code=code,
        detail="The event could not be stored; its data was refused.",
        message_id=event.message_id,
        body=text(body)[:32_768],
    )


_generation = 0  # of dedupe keys, when last looked at


class _Recording:
    """One try after another to record these batches in a deciding transaction."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches
        self._arrived = arrivals((b.events, b.source) for b in batches)
        self._names = sorted({n for a in self._arrived.values() for n in a.names})
        self._guess = 0

    def opening(self) -> Call:
        """Take dedupe keys and look names up, in the round trip of the ruleset's lock.

        Which generation of keys is the current one is a guess; `record` begins
        again if it was wrong.
        """
        self._guess = _generation
        return call(
            f"dedupe_{self._guess}",
            keys=self._arrived,
            namespace=[n.namespace for n in self._names],
            value=[n.value for n in self._names],
        )

    def record(self, decision: Decision) -> list[Recorded]:
        """Decide about what is new; return a result for each batch."""
        global _generation
        if decision.generation != self._guess:
            _generation = decision.generation
            raise Restart
        taken, owners = decision.opening[3:]
        new = set(taken)
        fresh = [each for key, each in self._arrived.items() if key in new]
        if fresh:
            known = {
                name: owner
                for name, owner in zip(self._names, owners, strict=True)
                if owner is not None
            }
            _decide_about(decision, fresh, known)
        counts = Counter(each.batch for each in fresh)
        for number, batch in enumerate(self._batches):
            if batch.rejected and (counts[number] or not batch.events):
                _write_rejected(batch.rejected, batch.source, now=decision.now)
        return [
            Recorded(counts[n], len(b.events) - counts[n], b.rejected)
            for n, b in enumerate(self._batches)
        ]


def _decide_about(
    decision: Decision, fresh: Sequence[Arrived], known: dict[Name, int]
) -> None:
    """Decide about new events, one after another, and see to it that they are written.

    Those that neither a rule nor an identity waits for are stored meanwhile.
    """
    _claim(decision.intake, {n for each in fresh for n in each.names}, known)
    linked = links(fresh, known)
    concerned = _concerned(decision, fresh, linked)
    decision.lock(concerned)
    now = decision.now
    partitions.require(now)
    decision.ask(_asked(decision, fresh, linked, concerned))
    numbered = [(each, new_id()) for each in fresh]
    waited: list[tuple[Arrived, int]] = []
    plain: list[Stored] = []
    for each, event_id in numbered:
        owner = known.get(each.names[0])
        if owner is None or owner in concerned:
            waited.append((each, event_id))
        else:
            event = not_after(each.event, now)
            ref = EventRef(event_id, now, event.occurred_at)
            plain.append(Stored(event, each.source, ref, owner, ()))
    if waited and len(plain) >= WORTH_A_STATEMENT:
        with database.meanwhile(Call("insert_events", _columns(plain, now=now))):
            stored = _fold(decision, waited)
    else:
        stored = [*_fold(decision, waited), *plain]
    _write_identities(decision, known)
    decision.later("insert_events", **_columns(stored, now=now))
    _write_counts(decision, stored)
    order = [[each.source.id, event_id] for each, event_id in numbered]
    decision.note("events", {"events": order})


def _concerned(
    decision: Decision, fresh: Sequence[Arrived], linked: Sequence[Link]
) -> set[int]:
    """Return the people about whom something may change."""
    rules = decision.rules
    return {
        person
        for each, link in zip(fresh, linked, strict=True)
        if link.moves or concerns_people(rules, each.event)
        for person in link.people
    }


def _fold(decision: Decision, waited: Iterable[tuple[Arrived, int]]) -> list[Stored]:
    """Decide about events, one after another, each with its id."""
    stored = []
    for each, event_id in waited:
        event = not_after(each.event, decision.now)
        try:
            taken = decision.intake.take(
                event, each.source, event_id=event_id, now=decision.now
            )
        except (DatabaseError, Restart):
            raise
        except Exception as error:  # one event must not stop the others
            raise EventFailed(each.event, each.source) from error
        stored.append(taken)
    return stored


def _claim(intake: Intake, names: set[Name], known: dict[Name, int]) -> None:
    """Claim the names that nobody has, for people who are born if an event says so."""
    intake.identities.update(known)
    unknown = sorted(n for n in names if n not in known)
    if not unknown:
        return
    for name in unknown:
        intake.identities[name] = new_id()
        intake.unborn.add(intake.identities[name])
    claim = call(
        "claim_identities",
        namespace=[n.namespace for n in unknown],
        value=[n.value for n in unknown],
        customer_id=[intake.identities[n] for n in unknown],
    )
    if database.run_all([claim])[0].count < len(unknown):
        raise Restart


def _asked(
    decision: Decision,
    fresh: Sequence[Arrived],
    linked: Sequence[Link],
    concerned: set[int],
) -> dict[int, set[Question]]:
    rules = decision.rules
    asked: dict[int, set[Question]] = {}
    for each, link in zip(fresh, linked, strict=True):
        people = link.people & concerned
        touches = match(rules, each.event)
        if not people or not (touches.entries or len(people) > 1):
            continue
        event = not_after(each.event, decision.now)
        wanted = set(questions(touches, event, now=decision.now))
        if len(people) > 1:
            for person in people:
                journeys = decision.states[person].journeys.values()
                wanted |= journey_questions(rules, journeys)
        if wanted:
            for person in people:
                asked.setdefault(person, set()).update(wanted)
    return asked


def _write_identities(decision: Decision, known: dict[Name, int]) -> None:
    """Give names to whom the decisions gave them, where the database says otherwise."""
    intake = decision.intake
    moved = [
        (name, owner)
        for name, owner in sorted(intake.identities.items())
        if known.get(name) != owner
    ]
    if moved:
        decision.later(
            "move_identities",
            namespace=[n.namespace for n, _ in moved],
            value=[n.value for n, _ in moved],
            customer_id=[owner for _, owner in moved],
        )


def _columns(stored: Sequence[Stored], *, now: datetime) -> dict[str, Any]:
    """Return the parameters of insert_events."""
    return {
        "now": now,
        "id": [s.ref.id for s in stored],
        "customer_id": [s.person for s in stored],
        "source_id": [s.source.id for s in stored],
        "type": [str(s.event.type) for s in stored],
        "name": [s.event.name for s in stored],
        "message_id": [s.event.message_id for s in stored],
        "occurred_at": [s.event.occurred_at for s in stored],
        "properties": [encode(s.event.properties) for s in stored],
        "context": [encode(s.event.context) for s in stored],
        "traits": [json_or_none(s.event.traits or None) for s in stored],
        "decisions": [
            json_or_none([d.as_json() for d in s.decisions] or None) for s in stored
        ],
        "notes": [json_or_none(s.event.notes or None) for s in stored],
    }


def _write_counts(decision: Decision, stored: Iterable[Stored]) -> None:
    counts = Counter((d.rule, str(d.reason)) for s in stored for d in s.decisions)
    if counts:
        rows = [(rule, reason, n) for (rule, reason), n in sorted(counts.items())]
        rules, reasons, numbers = database.columns(rows, 3)
        decision.later(
            "insert_counts",
            now=decision.now,
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
