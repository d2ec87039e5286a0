"""What a person may do about a mail that waits for one: release, discard, re-drive."""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from campaigns.domain.gate import after_mail
from campaigns.domain.people import Mail, State
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.states import MessageState

EVIDENCE_TIME: Final = timedelta(minutes=30)


class NotPossible(ValueError):
    """What was asked cannot be done with this mail now; the message says why."""


def release(mail: Mail, *, template_version: int, now: datetime) -> Mail:
    """Return a held mail queued again, with the template version to be used now.

    Raises NotPossible unless it is held.
    """
    _expect(mail, MessageState.HELD, "released")
    queued = mail.move(
        MessageState.QUEUED, not_before=now, reason="", detail=None, attempt=0
    )
    return replace(queued, template_version=template_version)


def discard(state: State, mail: Mail, rules: Ruleset, *, now: datetime) -> State:
    """Return the state with a held mail given up and its journey gone on.

    Raises NotPossible unless it is held.
    """
    _expect(mail, MessageState.HELD, "discarded")
    cancelled = mail.cancel("discarded", now=now)
    return after_mail(state.with_mail(cancelled), cancelled, rules, now=now)


def redrive(mail: Mail, *, now: datetime) -> Mail:
    """Return a mail whose fate is unknown queued once more, knowingly.

    It may be a second mail: only a person may ask for it, when half an hour
    brought no evidence that the first was taken. Raises NotPossible otherwise.
    """
    _expect(mail, MessageState.UNKNOWN, "sent again")
    if mail.evidence_at is not None:
        raise NotPossible("The provider has it: there is evidence that it was taken.")
    if mail.sending_at is None or now - mail.sending_at < EVIDENCE_TIME:
        raise NotPossible(
            "Evidence may still come: wait 30 minutes after the call before sending again."
        )
    return mail.move(
        MessageState.QUEUED,
        not_before=now,
        reason="",
        attempt=0,
        token=None,
        redriven_at=now,
        sending_at=None,
        settled_at=None,
    )


def give_up(mail: Mail, *, now: datetime) -> Mail:
    """Return a mail whose fate is unknown counted as failed. Raises NotPossible."""
    _expect(mail, MessageState.UNKNOWN, "given up")
    return mail.move(MessageState.FAILED, reason="given_up", settled_at=now)


def _expect(mail: Mail, state: MessageState, verb: str) -> None:
    if mail.state is not state:
        raise NotPossible(
            f"This mail is {mail.state}; only one that is {state} can be {verb}."
        )
