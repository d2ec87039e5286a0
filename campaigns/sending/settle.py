"""Settle mails with what the provider answered, and tell the others of its health."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from campaigns.deciding import database, load
from campaigns.deciding.database import Call, DatabaseAway, call
from campaigns.deciding.transaction import Decision, decide, owners_of
from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.domain.people import Journey, Mail
from campaigns.domain.settle import (
    WORKER_ENDED,
    apply_answer,
    apply_settled,
    take_back,
)
from campaigns.domain.states import AttemptState, MessageState
from campaigns.metrics import counted

logger = logging.getLogger(__name__)

OUTAGE_TRIES: Final = 100
OUTAGE_PAUSE_S: Final = 0.3
BREAKER_FAILURES: Final = 5
BREAKER_OPEN: Final = timedelta(seconds=30)
UNAUTHORISED_PAUSE: Final = timedelta(minutes=5)
RATE_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(hours=1)
AT_ONCE: Final = timedelta(seconds=1)  # such a mail was due when its event came
UNANSWERED: Final = Ambiguous(WORKER_ENDED)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the provider answered to the hand-over of one mail."""

    customer: int
    mail: int
    token: UUID
    answer: Answer


def settle(customer: int, mail_id: int, token: UUID, answer: Answer) -> None:
    """Write the answer to one hand-over; see settle_all."""
    settle_all([Answered(customer, mail_id, token, answer)])


def settle_all(answered: Sequence[Answered]) -> None:
    """Write answers to hand-overs, through an outage of the database too.

    If the database stays away, the leases end and the mails become `unknown`:
    they are never sent again on their own. What cannot be written for one mail
    leaves no other unwritten.
    """
    for _ in range(OUTAGE_TRIES):
        try:
            sent = decide(
                lambda d: _settle_all(d, answered),
                stage="settle",
                first=lambda: _reads(answered),
            )
        except DatabaseAway:
            time.sleep(OUTAGE_PAUSE_S)
        except Exception:
            if len(answered) == 1:
                logger.exception(
                    "message %s could not be settled",
                    answered[0].mail,
                    extra={"message_id": answered[0].mail},
                )
                return
            for each in answered:
                settle_all([each])
            return
        else:
            for each_sent in sent:
                each_sent.observe()
            return
    lost = ", ".join(str(a.mail) for a in answered)
    logger.error("messages %s could not be settled; their leases will end", lost)


@dataclass(frozen=True, slots=True)
class _Sent:
    """How late an accepted mail was, in seconds, for the metrics.

    `response_s` is counted from its event, if it was due with that.
    """

    lane: str
    late_s: float
    response_s: float | None

    def observe(self) -> None:
        counted.SENT.labels(self.lane).observe(self.late_s)
        if self.response_s is not None:
            counted.RESPONSES.labels(self.lane).observe(self.response_s)


def _sent(mail: Mail, journey: Journey | None, *, now: datetime) -> _Sent:
    response = None
    if journey is not None and mail.step == 0:
        received = journey.trigger.received_at
        if mail.due_at - received <= AT_ONCE:
            response = (now - received).total_seconds()
    late = (now - mail.due_at).total_seconds()
    return _Sent(counted.lane_name(mail.lane), late, response)


def _reads(answered: Sequence[Answered]) -> list[Call]:
    """Ask whose the mails are, and the addresses of those that were refused.

    The cap counts those no more: not while a gate counts their addresses' mails.
    """
    owners = owners_of(a.customer for a in answered)
    refused = sorted({a.mail for a in answered if isinstance(a.answer, Refused)})
    if not refused:
        return [owners]
    return [owners, call("messages_reported", ids=refused, provider_ids=[])]


def _settle_all(decision: Decision, answered: Sequence[Answered]) -> list[_Sent]:
    owners: dict[int, int] = dict(decision.first[0].rows)
    keys = {bytes(r[3]) for read in decision.first[1:] for r in read.rows if r[3]}
    mails = load.lock_mails(a.mail for a in answered)
    # Addresses before any mail, as whoever applies a webhook.
    (locked,) = decision.lock(owners.values(), hashes=keys, then=[mails])
    found = decision.take_mails(locked)
    ended: list[_Ended] = []
    sent: list[_Sent] = []
    providers: dict[int, list[Answer]] = {}
    for each in answered:
        person, mail = found.get(each.mail, (0, None))
        if mail is None or mail.token != each.token:
            continue
        state, attempt = apply_answer(
            decision.states[person],
            mail,
            each.answer,
            decision.rules,
            now=decision.now,
        )
        if isinstance(each.answer, Accepted):
            before = decision.states[person].journeys.get(mail.journey or 0)
            sent.append(_sent(mail, before, now=decision.now))
        decision.states[person] = state
        ended.append(_Ended(each.token, attempt, each.answer))
        if _was_asked(each.answer):
            providers.setdefault(mail.provider, []).append(each.answer)
        decision.note("settle", {"mail": mail.id, "answer": describe(each.answer)})
    _end_attempts(decision, ended)
    for provider, answers in sorted(providers.items()):
        _note_health(decision, provider, answers)
    return sent


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


@dataclass(frozen=True, slots=True)
class _Ended:
    """A call, and how it ended."""

    token: UUID
    state: AttemptState
    answer: Answer

    @property
    def status(self) -> int | None:
        return 202 if isinstance(self.answer, Accepted) else self.answer.status

    @property
    def detail(self) -> str:
        if isinstance(self.answer, Accepted):
            return self.answer.provider_id
        return self.answer.detail[:1000]


def _end_attempts(decision: Decision, ended: Sequence[_Ended]) -> None:
    if ended:
        decision.later(
            "end_attempts",
            now=decision.now,
            id=[e.token for e in ended],
            state=[str(e.state) for e in ended],
            status=[e.status for e in ended],
            detail=[e.detail for e in ended],
        )


def _note_health(decision: Decision, provider: int, answers: Sequence[Answer]) -> None:
    """Pause for all hosts on 429, 401, 403; open the breaker after a row of failures."""
    failed = [_failed(answer) for answer in answers]
    well = [n for n, bad in enumerate(failed) if not bad]
    pauses = [p for answer in answers if (p := _pause(answer))]
    paused, reason = max(pauses, default=(None, ""))
    decision.later(
        "provider_health",
        provider=provider,
        recovered=bool(well),
        failures=len(failed) - (well[-1] + 1 if well else 0),
        threshold=BREAKER_FAILURES,
        open_until=decision.now + BREAKER_OPEN,
        paused_until=None if paused is None else decision.now + paused,
        pause_reason=reason,
    )


def _was_asked(answer: Answer) -> bool:
    """Return whether the provider had to do with the answer at all."""
    return not (isinstance(answer, Refused) and answer.refusal is Refusal.NOT_TRIED)


def _failed(answer: Answer) -> bool:
    """Return whether the answer speaks against the provider's health."""
    return isinstance(answer, Ambiguous) or (
        isinstance(answer, Refused) and answer.refusal is Refusal.NOT_REACHED
    )


def _pause(answer: Answer) -> tuple[timedelta, str] | None:
    """Return for how long the answer stops all sending, and why."""
    if not isinstance(answer, Refused):
        return None
    if answer.refusal is Refusal.RATE_LIMITED:
        asked = min(answer.retry_after or RATE_PAUSE, LONGEST_PAUSE)
        return asked, "The provider asked for a slower rate (429)."
    if answer.refusal is Refusal.UNAUTHORISED:
        return (
            UNAUTHORISED_PAUSE,
            f"The provider refused the API key ({answer.status}).",
        )
    return None


def rescue(*, limit: int = 100) -> int:
    """Take back mails whose lease is over; return how many.

    `claimed` goes back to the queue, since no byte was sent, or fails after its
    last attempt; `sending` becomes `unknown`. What cannot be taken back stops no
    other: it is logged, and tried again.
    """
    rows = database.run("expired_leases", limit=limit)
    return _taken_back(dict(rows)) if rows else 0


def _taken_back(owners: Mapping[int, int]) -> int:
    try:
        return decide(
            lambda decision: _rescue(decision, owners),
            stage="rescue",
            first=lambda: [owners_of(owners.values())],
        )
    except DatabaseAway:
        raise
    except Exception:
        if len(owners) > 1:
            return sum(_taken_back({mail: owner}) for mail, owner in owners.items())
        (mail,) = owners
        logger.exception(
            "message %s could not be taken back", mail, extra={"message_id": mail}
        )
        return 0


def _rescue(decision: Decision, owners: Mapping[int, int]) -> int:
    person_of: dict[int, int] = dict(decision.first[0].rows)
    decision.lock(set(person_of.values()))
    known = [mail for mail, owner in owners.items() if owner in person_of]
    found = decision.load_mails(known)
    over = {row[0] for row in database.run("leases_over", ids=known)}
    ended = _end_orphans(decision, owners.keys() - set(known))
    for mail_id in sorted(over):
        person, mail = found[mail_id]
        after = take_back(mail, now=decision.now)
        decision.states[person] = apply_settled(
            decision.states[person], mail, after, decision.rules, now=decision.now
        )
        if mail.state is MessageState.SENDING and mail.token is not None:
            sent = after.state is MessageState.SENT
            attempt = AttemptState.ACCEPTED if sent else AttemptState.AMBIGUOUS
            ended.append(_Ended(mail.token, attempt, UNANSWERED))
    _end_attempts(decision, ended)
    if over:
        decision.note("rescue", {"mails": sorted(over)})
    return len(over)


def _end_orphans(decision: Decision, mails: Collection[int]) -> list[_Ended]:
    """End mails of people whose rows were deleted; return the calls that end so."""
    if not mails:
        return []
    rows = database.run("end_orphans", ids=sorted(mails), now=decision.now)
    return [
        _Ended(token, AttemptState.AMBIGUOUS, UNANSWERED)
        for token, state in rows
        if state == MessageState.UNKNOWN
    ]
