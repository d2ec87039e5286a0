"""What the queue may call: doors, not rooms. Each is safe to run twice, or never."""

import logging
import time
from datetime import timedelta
from typing import Final

from campaigns.deciding import address_key, clock, incarnation
from campaigns.deciding.garbage import collect_less
from campaigns.dispatch import drain as dispatch
from campaigns.dispatch import housekeeping as house
from campaigns.feedback import apply as feedback
from campaigns.journeys import demo_data
from campaigns.models import ClusterBeat
from campaigns.queue import forget_failures

logger = logging.getLogger(__name__)

KEEP_FAILURES: Final = timedelta(days=7)
SAY_AGAIN_S: Final = 60.0

_said_at = float("-inf")
collect_less()  # whoever runs tasks runs many


def canary(name: str, n: int) -> None:
    """Show the supervisor that broker, queue, worker and database work."""
    ClusterBeat.came_back(name, n)


def drain_mail() -> None:
    """Advance what is due and send what is queued, for three seconds at most."""
    if _is_restored():
        return
    address_key.confirm()
    if names := demo_data.confirm():
        logger.warning("%s", demo_data.paused(names))
    dispatch.drain()


def apply_feedback() -> None:
    """Apply stored webhooks, for two seconds at most."""
    if _is_restored():
        return
    address_key.confirm()
    feedback.drain()


def housekeeping() -> None:
    """Do each minute what no request should wait for."""
    now = clock.now()
    house.run(now)
    forget_failures(before=now - KEEP_FAILURES)


def _is_restored() -> bool:
    """Return whether the database has to be put in order first; say so now and then."""
    global _said_at
    try:
        incarnation.confirm()
    except incarnation.Restored as restored:
        if time.monotonic() - _said_at > SAY_AGAIN_S:
            _said_at = time.monotonic()
            logger.error("%s", restored)  # noqa: TRY400 - a state, not a failure
        return True
    return False
