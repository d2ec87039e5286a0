"""Wraps the product's own functions; with nothing wanted each does as before.

A function that is no longer there stops the process's start: a sabotage that
silently does nothing would prove nothing.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from msgspec.structs import replace as replaced

from campaigns.deciding.database import DatabaseAway
from campaigns.domain import gate as pure_gate
from campaigns.domain.answers import Answer, Refused
from campaigns.domain.gate import GateFacts
from campaigns.domain.people import Mail
from campaigns.domain.states import MessageState
from campaigns.ingest import arrivals
from campaigns.models import Message
from campaigns.sending import deliver, gate, settle
from campaigns.sending.claim import Claim
from campaigns.sending.gate import Begun
from campaigns.sending.settle import Answered
from drill.inside.control import is_out, wanted
from drill.plan import SECOND, Sabotage

Function = Callable[..., Any]
AWAY_S: Final = 10.0
_refused: Final[list[int]] = []  # by the settling that is under way, or was lost
_early: Final[dict[UUID, Answer]] = {}  # what was answered before the commit
_away_until = 0.0


def install() -> None:
    """Wrap them all."""
    if settings.CLUSTER_HOST == SECOND:
        _wrap(settle, "decide", _losing_answers)
    _wrap(settle, "_settle_all", _token_ignored(_answered_anew))
    _wrap(settle, "_settle_all", _noticing)
    _wrap(gate, "_lock", _token_ignored(_claimed_anew))
    _wrap(settle, "take_back", _lease_misread)
    _wrap(gate, "_begin", _called_early)
    _wrap(deliver, "_answer", _answered_early)
    _wrap(arrivals, "dedupe_key", _never_the_same)
    _wrap(gate, "gate", _unstopped)
    _wrap(pure_gate, "_left", _not_left)


def _wrap(
    module: ModuleType, name: str, wrapper: Callable[[Function], Function]
) -> None:
    setattr(module, name, wrapper(getattr(module, name)))


def _losing_answers(decide: Function) -> Function:
    """Commit a refusal's settling, then lose the connection before the answer."""

    def losing(*args: object, **named: object) -> object:
        global _away_until
        if time.monotonic() < _away_until and not _are_out_again(_refused):
            raise DatabaseAway("the drill keeps the database away")
        was_away, _away_until = _away_until > 0.0, 0.0
        _refused.clear()
        result = decide(*args, **named)
        # Not again for who says it once more: an outage has an end.
        if _refused and not was_away and random.random() < wanted().lost:  # noqa: S311
            _away_until = time.monotonic() + AWAY_S
            connection.close()
            raise DatabaseAway("the drill lost the answer to a commit")
        return result

    return losing


def _are_out_again(mails: Sequence[int]) -> bool:
    """Return whether another worker is handing one of these over: the worst moment."""
    return Message.objects.filter(pk__in=mails, state=MessageState.SENDING).exists()


def _noticing(settle_all: Function) -> Function:
    """Notice which of the mails that are settled were refused."""

    def noticing(decision: object, answered: Sequence[Answered]) -> object:
        _refused[:] = [a.mail for a in answered if isinstance(a.answer, Refused)]
        return settle_all(decision, answered)

    return noticing


def _token_ignored(anew: Function) -> Callable[[Function], Function]:
    """Give whoever asks today's token, whatever theirs was."""

    def wrapper(work: Function) -> Function:
        def ignoring(decision: object, held: Sequence[object], *rest: object) -> object:
            return work(decision, anew(held) if is_out(Sabotage.TOKEN) else held, *rest)

        return ignoring

    return wrapper


def _answered_anew(answered: Sequence[Answered]) -> list[Answered]:
    tokens = _tokens([a.mail for a in answered])
    return [replace(a, token=tokens.get(a.mail) or a.token) for a in answered]


def _claimed_anew(claims: Sequence[Claim]) -> list[Claim]:
    tokens = _tokens([c.id for c in claims])
    return [replace(c, token=tokens.get(c.id) or c.token) for c in claims]


def _tokens(mails: Sequence[int]) -> dict[int, UUID | None]:
    rows = Message.objects.filter(pk__in=mails).values_list("pk", "token")
    return dict(rows)


def _lease_misread(take_back: Function) -> Function:
    """Give a mail whose lease ended back, `sending` or not."""

    def misread(mail: Mail, **named: Any) -> Mail:
        if not is_out(Sabotage.LEASE):
            found: Mail = take_back(mail, **named)
            return found
        return mail.move(
            MessageState.QUEUED, not_before=named["now"], token=None, sending_at=None
        )

    return misread


def _called_early(begin: Function) -> Function:
    """Call the provider inside the transaction that will commit `sending`."""

    def early(*args: object) -> list[Begun]:
        begun: list[Begun] = begin(*args)
        if is_out(Sabotage.BEGIN) and begun:

            def call(each: Begun) -> None:
                _early[each.token] = each.account.send(
                    each.packed, timeout_s=settings.POST_DEADLINE_S
                )

            list(deliver._pool().map(call, begun))  # noqa: SLF001 - its own threads
        return begun

    return early


def _answered_early(answer: Function) -> Function:
    def early(begun: Begun, *rest: object) -> object:
        known = _early.pop(begun.token, None)
        return known if known is not None else answer(begun, *rest)

    return early


def _never_the_same(dedupe_key: Function) -> Function:
    def key(source: int, message_id: str) -> bytes:
        if is_out(Sabotage.DEDUPE):
            return uuid4().bytes
        found: bytes = dedupe_key(source, message_id)
        return found

    return key


def _unstopped(look: Function) -> Function:
    """Show the gate no suppression, no refusal and no stopped journey."""

    def unstopped(
        mail: object, state: object, facts: GateFacts, *rest: object, **named: object
    ) -> object:
        if is_out(Sabotage.STOP):
            facts = replaced(
                facts,
                suppressed=frozenset(),
                subscribed=None,
                consented=True,
            )
        return look(mail, state, facts, *rest, **named)

    return unstopped


def _not_left(left: Function) -> Function:
    def not_left(*args: object, **named: object) -> object:
        return None if is_out(Sabotage.STOP) else left(*args, **named)

    return not_left
