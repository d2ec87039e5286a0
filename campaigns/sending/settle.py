"""Settle mails with what the provider answered, and tell the others of its health."""

import logging
import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from campaigns.deciding import database
from campaigns.deciding.database import DatabaseAway
from campaigns.deciding.load import bigints
from campaigns.deciding.transaction import Decision, decide, roots
from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.domain.people import Mail
from campaigns.domain.settle import (
    WORKER_ENDED,
    apply_answer,
    apply_settled,
    take_back,
)
from campaigns.domain.states import CAPPED, AttemptState, MessageState

logger = logging.getLogger(__name__)

OUTAGE_TRIES: Final = 100
OUTAGE_PAUSE_S: Final = 0.3
BREAKER_FAILURES: Final = 5
BREAKER_OPEN: Final = timedelta(seconds=30)
UNAUTHORISED_PAUSE: Final = timedelta(minutes=5)
RATE_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(hours=1)


def settle(customer: int, mail_id: int, token: UUID, answer: Answer) -> None:
    """Write the answer to a hand-over, through an outage of the database too.

    If the database stays away, the lease ends and the mail becomes `unknown`:
    it is never sent again on its own.
    """
    for _ in range(OUTAGE_TRIES):
        try:
            decide(lambda d: _settle(d, customer, mail_id, token, answer))
        except DatabaseAway:
            time.sleep(OUTAGE_PAUSE_S)
        else:
            return
    logger.error("message %s could not be settled; its lease will end", mail_id)


def _settle(
    decision: Decision, customer: int, mail_id: int, token: UUID, answer: Answer
) -> None:
    mail, person = _lock_one(decision, customer, mail_id)
    if mail is None or mail.token != token:
        return
    state, attempt = apply_answer(
        decision.states[person], mail, answer, decision.rules, now=decision.now
    )
    decision.states[person] = state
    if mail.address_hash is not None and state.mails[mail.id].state not in CAPPED:
        # The cap counts it no more: not while a gate counts this address's mails.
        decision.lock_address(mail.address_hash)
    _end_attempt(token, attempt, answer, now=decision.now)
    _note_health(mail.provider, answer, now=decision.now)
    decision.note("settle", {"mail": mail.id, "answer": describe(answer)})


def _lock_one(
    decision: Decision, customer: int, mail_id: int
) -> tuple[Mail | None, int]:
    owners = roots([customer])
    decision.lock(owners.values())
    found = decision.load_mails([mail_id]).get(mail_id)
    return (found[1] if found else None), owners[customer]


def describe(answer: Answer) -> dict[str, object]:
    """Return the answer as JSON values."""
    match answer:
        case Accepted(provider_id):
            return {"kind": "accepted", "provider_id": provider_id}
        case Refused():
            return {
                "kind": "refused",
                "refusal": str(answer.refusal),
                "status": answer.status,
                "retry_after_s": answer.retry_after.total_seconds()
                if answer.retry_after
                else None,
            }
        case Ambiguous(detail, status):
            return {"kind": "ambiguous", "detail": detail, "status": status}


def _end_attempt(
    token: UUID, state: AttemptState, answer: Answer, *, now: datetime
) -> None:
    detail = answer.provider_id if isinstance(answer, Accepted) else answer.detail
    status = 202 if isinstance(answer, Accepted) else answer.status
    database.run(
        "end_attempt",
        id=token,
        state=str(state),
        now=now,
        status=status,
        detail=detail[:1000],
    )


def _note_health(provider: int, answer: Answer, *, now: datetime) -> None:
    """Pause for all hosts on 429, 401, 403; open the breaker after a row of failures."""
    paused: timedelta | None = None
    reason = ""
    failed = isinstance(answer, Ambiguous)
    if isinstance(answer, Refused):
        failed = answer.refusal is Refusal.NOT_REACHED
        if answer.refusal is Refusal.RATE_LIMITED:
            paused = min(answer.retry_after or RATE_PAUSE, LONGEST_PAUSE)
            reason = "The provider asked for a slower rate (429)."
        if answer.refusal is Refusal.UNAUTHORISED:
            paused = UNAUTHORISED_PAUSE
            reason = f"The provider refused the API key ({answer.status})."
    database.run(
        "provider_health",
        provider=provider,
        failed=failed,
        threshold=BREAKER_FAILURES,
        open_until=now + BREAKER_OPEN,
        paused_until=None if paused is None else now + paused,
        pause_reason=reason,
    )


def rescue(*, limit: int = 100) -> int:
    """Take back mails whose lease is over; return how many.

    `claimed` goes back to the queue, since no byte was sent, or fails after its
    last attempt; `sending` becomes `unknown`.
    """
    rows = database.run("expired_leases", limit=limit)
    if not rows:
        return 0
    return decide(lambda decision: _rescue(decision, dict(rows)))


def _rescue(decision: Decision, owners: dict[int, int]) -> int:
    person_of = roots(owners.values())
    decision.lock(set(person_of.values()))
    found = decision.load_mails(owners)
    over = {row[0] for row in database.run("leases_over", ids=bigints(owners))}
    for mail_id in sorted(over):
        person, mail = found[mail_id]
        after = take_back(mail, now=decision.now)
        decision.states[person] = apply_settled(
            decision.states[person], mail, after, decision.rules, now=decision.now
        )
        if mail.state is MessageState.SENDING and mail.token is not None:
            answer = Ambiguous(WORKER_ENDED)
            state = AttemptState.AMBIGUOUS
            if after.state is MessageState.SENT:
                state = AttemptState.ACCEPTED
            _end_attempt(mail.token, state, answer, now=decision.now)
    if over:
        decision.note("rescue", {"mails": sorted(over)})
    return len(over)
