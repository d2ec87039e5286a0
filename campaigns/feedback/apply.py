"""Apply stored webhooks: each body as often as it needs, each event once."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, connection

from campaigns.deciding import clock, database
from campaigns.deciding.outage import AWAY
from campaigns.deciding.transaction import Decision, decide
from campaigns.deciding.write import text
from campaigns.domain.clean import mend_text
from campaigns.domain.provider_events import ProviderEvent, RejectedItem, read_batch
from campaigns.feedback.effects import Applied, apply_events
from campaigns.metrics import counted
from campaigns.models import WebhookBatch

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
LEASE: Final = timedelta(seconds=30)
LONG_LEASE: Final = timedelta(minutes=10)
FIRST_RETRY: Final = timedelta(seconds=5)
# Each event may lock an address; the server has room for some thousand locks.
PIECE: Final = 500
SHOWN_REJECTED: Final = 20
MAX_ERROR_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Batch:
    id: int
    attempts: int
    received_at: datetime
    body: bytes
    error: str


def drain(limit_s: float = 2.0) -> int:
    """Apply stored webhook bodies, oldest first, for about that long.

    Returns how many were applied. One that fails is tried again later, five
    times, and then kept with its error; it never stops the others. What ends
    without an error of its own is never given up: neither an outage nor a process
    that was killed speaks against a body.
    """
    until = time.monotonic() + limit_s
    applied = 0
    try:
        while time.monotonic() < until and (batch := _claim()) is not None:
            applied += _try(batch)
    except AWAY as error:
        logger.warning("feedback waits for the database: %s", error)
        connection.close()
    return applied


def apply_again(batch_id: int) -> bool:
    """Queue a stored body once more, for an operator; False if it is gone.

    Harmless for one that was applied: its events are known by then.
    """
    again = WebhookBatch.objects.filter(pk=batch_id).update(
        attempts=0, applied_at=None, error="", pending_at=clock.now()
    )
    return again > 0


def _claim() -> _Batch | None:
    now = clock.now()
    rows = database.run(
        "claim_webhook_batch",
        now=now,
        again_at=now + LEASE,
        later_at=now + LONG_LEASE,
        max_attempts=MAX_ATTEMPTS,
    )
    if not rows:
        return None
    key, attempts, received_at, body, error = rows[0]
    return _Batch(key, attempts, received_at, bytes(body), error)


def _try(batch: _Batch) -> bool:
    try:
        _apply(batch)
    except AWAY:
        raise
    except Exception as error:
        logger.exception(
            "webhook batch %s could not be applied",
            batch.id,
            extra={"batch_id": batch.id},
        )
        _put_off(batch, f"{type(error).__name__}: {error}")
        return False
    lag = clock.now() - batch.received_at
    counted.APPLIED.observe(lag.total_seconds())
    return True


def _put_off(batch: _Batch, error: str) -> None:
    """Try again later, or give up: an operator finds it with its error.

    Attempts count those that an outage cut short, so one error is not yet the end.
    """
    again_at = None
    if batch.attempts < MAX_ATTEMPTS or not batch.error:
        before = min(batch.attempts, MAX_ATTEMPTS) - 1
        again_at = clock.now() + FIRST_RETRY * 4**before
    else:
        counted.GIVEN_UP.inc()
    shown = mend_text(error)[:MAX_ERROR_CHARS]
    database.run("retry_webhook_batch", id=batch.id, again_at=again_at, error=shown)


def _apply(batch: _Batch) -> None:
    """Apply a body, in one transaction unless it is very large or has bad data."""
    read = read_batch(batch.body)
    pieces = [
        read.events[start : start + PIECE]
        for start in range(0, len(read.events), PIECE)
    ]
    done, rejected = Applied(), list(read.rejected)
    for piece in pieces[:-1]:
        done += _isolated(batch, piece, rejected)
    _last(batch, pieces[-1] if pieces else (), done, rejected)


def _last(
    batch: _Batch,
    events: Sequence[ProviderEvent],
    before: Applied,
    rejected: list[RejectedItem],
) -> None:
    """Apply the last piece and finish the batch, together."""

    def work(decision: Decision) -> None:
        done = before + _piece(decision, batch, events)
        _finish(decision.now, batch, done, rejected)

    try:
        decide(work, stage="feedback")
    except DatabaseError as error:
        if not database.is_data_error(error):
            raise
        done = before + _isolated(batch, events, rejected)
        decide(lambda d: _finish(d.now, batch, done, rejected), stage="feedback")


def _isolated(
    batch: _Batch, events: Sequence[ProviderEvent], rejected: list[RejectedItem]
) -> Applied:
    """Apply events; one whose data the database refuses is rejected, alone."""
    try:
        return decide(lambda d: _piece(d, batch, events), stage="feedback")
    except DatabaseError as error:
        if not database.is_data_error(error):
            raise
        if len(events) == 1:
            logger.exception("a delivery event could not be stored")
            why = f"the database refused it ({database.sqlstate(error)})"
            rejected.append(RejectedItem(-1, why, repr(events[0])))
            return Applied()
    half = len(events) // 2
    first = _isolated(batch, events[:half], rejected)
    return first + _isolated(batch, events[half:], rejected)


def _piece(
    decision: Decision, batch: _Batch, events: Sequence[ProviderEvent]
) -> Applied:
    return apply_events(decision, events, received_at=batch.received_at)


def _finish(
    now: datetime, batch: _Batch, done: Applied, rejected: Sequence[RejectedItem]
) -> None:
    shown = [asdict(item) for item in rejected[:SHOWN_REJECTED]]
    summary = {**asdict(done), "rejected_count": len(rejected), "rejected": shown}
    unusable = rejected and not done.events and not done.repeats
    database.run(
        "finish_webhook_batch",
        id=batch.id,
        now=now,
        error=rejected[0].reason[:MAX_ERROR_CHARS] if unusable else "",
        summary=text(summary),
    )
