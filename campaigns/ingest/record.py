"""Record a batch of events: dedupe, identify, decide, store; all or nothing."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from time import perf_counter

from django.db import DatabaseError

from campaigns.deciding import database
from campaigns.deciding.database import Call, call
from campaigns.deciding.transaction import Decision, Restart, decide
from campaigns.deciding.write import text
from campaigns.domain.events import IncomingEvent, RejectedInput, SourceRef
from campaigns.ingest import partitions
from campaigns.ingest.arrivals import arrivals, rejection_key
from campaigns.ingest.fold import EventFailed, decide_about
from campaigns.metrics import counted
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
        rejected = (*self.rejected, _refusal(event, code))
        return replace(self, events=rest, rejected=rejected)


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


def _record_all(
    batches: Sequence[Batch], *, one_failed: bool = False
) -> list[Recorded]:
    recording = _Recording(batches)
    try:
        return decide(recording.record, stage="ingest", state=recording.opening)
    except partitions.Missing as missing:
        partitions.create(missing.month)
        return _record_all(batches, one_failed=one_failed)
    except EventFailed as failed:
        logger.exception("event could not be decided about")
        if one_failed:  # and there may be many more
            return _halved(batches, code="undecidable")
        rest = [
            b.without(failed.event, "undecidable")
            if b.source.id == failed.source.id
            else b
            for b in batches
        ]
        return _record_all(rest, one_failed=True)
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
    first = replace(batch, events=batch.events[:half])
    second = replace(batch, events=batch.events[half:], rejected=())
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
        self._refused = [
            {rejection_key(b.source.id, r): r for r in b.rejected} for b in batches
        ]
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
            keys=[*self._arrived, *chain.from_iterable(self._refused)],
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
            decide_about(decision, fresh, known)
        counts = Counter(each.batch for each in fresh)
        for number, batch in enumerate(self._batches):
            if refused := self._refused[number]:
                if batch.events and not counts[number]:  # a batch that comes again
                    refused = {k: r for k, r in refused.items() if k in new}
                new -= refused.keys()  # the same may be in the next batch
                _write_rejected(refused.values(), batch.source, now=decision.now)
        return [
            Recorded(counts[n], len(b.events) - counts[n], b.rejected)
            for n, b in enumerate(self._batches)
        ]


def _write_rejected(
    rejected: Iterable[RejectedInput], source: SourceRef, *, now: datetime
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
