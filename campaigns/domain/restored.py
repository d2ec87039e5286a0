"""What may have left between a backup and its return, and must not leave again.

The backup holds mails and journeys as they were. What they became before the
database was lost nobody knows, only what they could have become: a mail that was
queued may have been sent, and so may all that a journey would have planned.
`since` is when the backup was made, `until` when the last mail can have left.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from campaigns.domain.people import Journey, Mail, State
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.settle import apply_settled, unknown
from campaigns.domain.states import MessageState, RuleStatus
from campaigns.domain.steps import NewId, Trigger, advance, apply_advance
from campaigns.domain.timing import next_open

MAY_HAVE_LEFT: Final = (
    "The database was restored from a backup; it may have left before that."
)
UNDER_WAY: Final = (MessageState.CLAIMED, MessageState.SENDING)


def may_have_left(mail: Mail, *, until: datetime) -> bool:
    """Return whether the mail may have been handed over by then."""
    if mail.state is MessageState.QUEUED:
        return mail.not_before is not None and mail.not_before <= until
    return mail.state in UNDER_WAY


def handed_over(mail: Mail, *, token: UUID, address_hash: bytes, now: datetime) -> Mail:
    """Return the mail as it was if its call began.

    Half an hour from `now`, and not before, a person may send it again.
    """
    if mail.state is MessageState.QUEUED:
        mail = mail.move(MessageState.CLAIMED, token=token, attempt=mail.attempt + 1)
    if mail.state is MessageState.CLAIMED:
        mail = mail.move(MessageState.SENDING, address_hash=address_hash)
    return replace(mail, sending_at=now)


def write_off(
    state: State, mail: Mail, handed: Mail, rules: Ruleset, *, since: datetime
) -> State:
    """Return the state with the handed-over mail `unknown`, for want of an answer.

    Its journey goes on from when the mail left, if it did: what followed by then may
    have left too, and what follows later is still to come.
    """
    now = handed.sending_at or since
    lost = unknown(handed, MAY_HAVE_LEFT, now=now)
    if lost.state is MessageState.UNKNOWN:
        lost = replace(lost, reason="restored")
    left_at = max(mail.not_before or mail.sending_at or mail.due_at, since)
    return apply_settled(state, handed, lost, rules, now=left_at)


def may_have_sent_at(
    journey: Journey, state: State, rules: Ruleset, *, since: datetime, until: datetime
) -> datetime | None:
    """Return when the waiting journey sent its next mail at the earliest, if by then.

    One that waits for an event may have got it at once: of all times the earliest
    leaves most room for what followed. The rules that were paused sent nothing,
    unless somebody resumed them; that is for people to know.
    """
    version = rules.version(journey.version)
    if version is None or rules.status(journey.rule) is not RuleStatus.ACTIVE:
        return None
    step = None if journey.unbegun else version.step(journey.step)
    may_wake = journey.wait_since is not None and journey.woken_by is None
    if step is not None and step.wait_for is not None and may_wake:
        zone = rules.policy.zone(state.person.time_zone)
        begun = max(journey.wait_since or since, since)
        sent_at = next_open(begun, step.window, step.quiet, zone)
    else:
        sent_at = max(journey.due_at or since, since)
    return sent_at if sent_at <= until else None


def go_through(
    state: State,
    journey: Journey,
    trigger: Trigger,
    rules: Ruleset,
    *,
    at: datetime,
    new_id: NewId,
) -> State:
    """Return the state with the journey's decision made as it was made then."""
    due = replace(journey, due_at=at)
    decided = advance(due, state, trigger, rules, now=at, new_id=new_id)
    return apply_advance(state, due, decided, rules, now=at)
