"""What a provider's answer, or evidence, or silence makes of a mail."""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.domain.gate import after_mail
from campaigns.domain.people import Mail, State
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.states import AttemptState, MessageState

MAX_ATTEMPTS: Final = 5
FREE: Final = (Refusal.RATE_LIMITED, Refusal.UNAUTHORISED, Refusal.NOT_TRIED)
NOT_FINAL: Final = (MessageState.SENDING, MessageState.UNKNOWN)
FIRST_BACKOFF: Final = timedelta(seconds=5)
LONGEST_BACKOFF: Final = timedelta(hours=1)
WORKER_ENDED: Final = "The worker ended before the answer was written."


def backoff(attempt: int, retry_after: timedelta | None) -> timedelta:
    """Return how long to wait after that many attempts; the provider's wish first."""
    own = min(FIRST_BACKOFF * (1 << 2 * max(attempt - 1, 0)), LONGEST_BACKOFF)
    if retry_after is None:
        return own
    return min(max(retry_after, timedelta(0)), LONGEST_BACKOFF)


def settle(mail: Mail, answer: Answer, *, now: datetime) -> tuple[Mail, AttemptState]:
    """Return the mail after the answer to its hand-over, and how the attempt ended.

    A late acceptance settles `unknown`; nothing else moves it here. Nothing
    gives back a mail for which there is evidence that it was taken.
    """
    match answer:
        case Accepted(provider_id) if mail.state in NOT_FINAL:
            return _sent(mail, now=now, provider_id=provider_id), AttemptState.ACCEPTED
        case Refused() if mail.state is MessageState.SENDING:
            return _refused(mail, answer, now=now)
        case Ambiguous(detail) if mail.state is MessageState.SENDING:
            return unknown(mail, detail, now=now), _ambiguous(mail)
        case Accepted():
            return mail, AttemptState.ACCEPTED
        case _:
            return mail, AttemptState.AMBIGUOUS


def _sent(mail: Mail, *, now: datetime, provider_id: str = "") -> Mail:
    return mail.move(
        MessageState.SENT,
        provider_message_id=provider_id or mail.provider_message_id,
        settled_at=now,
        reason="",
    )


def _ambiguous(mail: Mail) -> AttemptState:
    accepted = mail.evidence_at is not None
    return AttemptState.ACCEPTED if accepted else AttemptState.AMBIGUOUS


def unknown(mail: Mail, detail: str, *, now: datetime) -> Mail:
    """Return the mail whose fate nobody knows; evidence, if any came, settles it."""
    if mail.evidence_at is not None:
        return _sent(mail, now=now)
    return mail.move(
        MessageState.UNKNOWN,
        reason="no_answer",
        detail={"problem": detail},
        settled_at=now,
    )


def _refused(
    mail: Mail, answer: Refused, *, now: datetime
) -> tuple[Mail, AttemptState]:
    if mail.evidence_at is not None:
        return _sent(mail, now=now), AttemptState.ACCEPTED
    detail = {
        "refusal": str(answer.refusal),
        "status": answer.status,
        "problem": answer.detail,
    }
    if answer.refusal is Refusal.INVALID or (
        mail.attempt >= MAX_ATTEMPTS and answer.refusal is Refusal.NOT_REACHED
    ):
        failed = mail.move(
            MessageState.FAILED,
            reason=str(answer.refusal),
            detail=detail,
            settled_at=now,
        )
        return failed, AttemptState.REFUSED
    free = answer.refusal in FREE
    queued = mail.move(
        MessageState.QUEUED,
        not_before=now + backoff(mail.attempt, answer.retry_after),
        attempt=max(mail.attempt - 1, 0) if free else mail.attempt,
        token=None,
        detail=detail,
        sending_at=None,
    )
    return queued, AttemptState.REFUSED


def apply_answer(
    state: State, mail: Mail, answer: Answer, rules: Ruleset, *, now: datetime
) -> tuple[State, AttemptState]:
    """Return the state after the provider's answer, the journey gone on if it may."""
    settled, attempt = settle(mail, answer, now=now)
    return apply_settled(state, mail, settled, rules, now=now), attempt


def apply_settled(
    state: State, before: Mail, settled: Mail, rules: Ruleset, *, now: datetime
) -> State:
    """Return the state with the settled mail; only a final one moves its journey.

    `unknown` was final for its journey when it became so: what comes of it
    later moves the mail alone.
    """
    state = state.with_mail(settled)
    if settled.state is MessageState.QUEUED:
        return _back_in_queue(state, settled, now=now)
    if before.state not in (MessageState.SENDING, MessageState.CLAIMED):
        return state
    return after_mail(state, settled, rules, now=now)


def _back_in_queue(state: State, mail: Mail, *, now: datetime) -> State:
    """Return the state; a mail given back to a journey that ended meanwhile is cancelled."""
    journey = state.journey_of(mail)
    over = mail.journey is not None and (journey is None or not journey.is_open)
    if over and mail.redriven_at is None:
        return state.with_mail(mail.cancel("journey_over", now=now))
    return state


def take_back(mail: Mail, *, now: datetime) -> Mail:
    """Return a mail whose worker ended: its lease is over.

    `claimed` goes back to the queue, since no byte was sent, or fails after its
    last attempt; `sending` becomes `unknown`.
    """
    if mail.state is MessageState.SENDING:
        return unknown(mail, WORKER_ENDED, now=now)
    if mail.attempt >= MAX_ATTEMPTS:
        return mail.move(
            MessageState.FAILED,
            reason="too_many_attempts",
            detail={"attempts": mail.attempt},
            settled_at=now,
        )
    return mail.move(MessageState.QUEUED, not_before=now, token=None)


def see_evidence(mail: Mail, *, now: datetime) -> Mail:
    """Return the mail after a provider's event proved that it was taken.

    `sending` is never moved by evidence: its own settling reads `evidence_at`.
    """
    seen = replace(mail, evidence_at=mail.evidence_at or now)
    if seen.state is MessageState.UNKNOWN:
        return _sent(seen, now=now)
    return seen
