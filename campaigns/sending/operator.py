"""A person's decisions about held and unknown mails, each in a deciding transaction."""

from collections.abc import Callable

from campaigns.deciding.transaction import Decision, decide, roots
from campaigns.domain import operator
from campaigns.domain.operator import NotPossible
from campaigns.domain.people import Mail, State
from campaigns.models import Message, TemplateVersion

__all__ = ["NotPossible", "discard", "give_up", "redrive", "release"]

Work = Callable[[Decision, State, Mail], State]


def release(message_id: int) -> None:
    """Queue a held mail again, with its template's newest published words.

    Raises NotPossible unless it is held.
    """

    def work(decision: Decision, state: State, mail: Mail) -> State:
        version = _newest(mail.template_version)
        return state.with_mail(
            operator.release(mail, template_version=version, now=decision.now)
        )

    _decide(message_id, work)


def discard(message_id: int) -> None:
    """Give a held mail up and let its journey go on. Raises NotPossible."""
    _decide(
        message_id,
        lambda d, state, mail: operator.discard(state, mail, d.rules, now=d.now),
    )


def redrive(message_id: int) -> None:
    """Queue a mail of unknown fate once more; it may be a second one.

    Raises NotPossible within 30 minutes of the call, or if there is evidence.
    """
    _decide(
        message_id,
        lambda d, state, mail: state.with_mail(operator.redrive(mail, now=d.now)),
    )


def give_up(message_id: int) -> None:
    """Count a mail of unknown fate as failed. Raises NotPossible."""
    _decide(
        message_id,
        lambda d, state, mail: state.with_mail(operator.give_up(mail, now=d.now)),
    )


def _newest(version: int) -> int:
    newest = (
        TemplateVersion.objects.filter(template__versions=version)
        .order_by("-number")
        .values_list("pk", flat=True)
        .first()
    )
    return version if newest is None else newest


def _decide(message_id: int, work: Work) -> None:
    def inside(decision: Decision) -> None:
        customer = Message.objects.values_list("customer_id", flat=True).get(
            pk=message_id
        )
        owners = roots([customer])
        decision.lock(owners.values())
        person, mail = decision.load_mails([message_id])[message_id]
        decision.states[person] = work(decision, decision.states[person], mail)

    decide(inside)
