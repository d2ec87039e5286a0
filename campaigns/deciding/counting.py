"""Count what decisions did, once they are committed, and tell it at DEBUG."""

import logging
from collections.abc import Mapping

from campaigns.domain.people import Journey, Mail, State
from campaigns.metrics import counted

logger = logging.getLogger(__name__)


def count_moves(before: Mapping[int, State], after: Mapping[int, State]) -> None:
    """Count the messages that came into another state, or into being."""
    old = {m.id: m.state for s in before.values() for m in s.mails.values()}
    for state in after.values():
        for mail in state.mails.values():
            if old.get(mail.id) is not mail.state:
                reason = counted.word(mail.reason) if mail.reason else ""
                counted.MOVES.labels(str(mail.state), reason).inc()
                _tell_mail(mail)
    if logger.isEnabledFor(logging.DEBUG):
        _tell_journeys(before, after)


def _tell_mail(mail: Mail) -> None:
    logger.debug(
        "message %s: %s",
        mail.id,
        mail.state,
        extra={
            "message_id": mail.id,
            "journey_id": mail.journey,
            "rule_id": mail.rule,
        },
    )


def _tell_journeys(before: Mapping[int, State], after: Mapping[int, State]) -> None:
    old = {j.id: j.state for s in before.values() for j in s.journeys.values()}
    for state in after.values():
        for journey in state.journeys.values():
            if old.get(journey.id) is not journey.state:
                _tell_journey(journey)


def _tell_journey(journey: Journey) -> None:
    logger.debug(
        "journey %s: %s",
        journey.id,
        journey.state,
        extra={
            "journey_id": journey.id,
            "event_id": journey.trigger.id,
            "rule_id": journey.rule,
        },
    )
