"""What the Segment dialect answers, success or not."""

import logging
import secrets
from collections.abc import Sequence
from typing import Final

from django.http import JsonResponse

from campaigns.deciding.outage import AWAY
from campaigns.domain.events import RejectedInput
from campaigns.ingest.lane import LaneFull

logger = logging.getLogger(__name__)

BUSY: Final = "busy"
BUSY_SENTENCE: Final = (
    "Too many requests wait here; nothing was stored. Send this again."
)
# Enough to mend a client by; all of them are in the admin.
SHOWN_REJECTIONS: Final = 20


def taken(rejected: Sequence[RejectedInput] = ()) -> JsonResponse:
    """Answer 200: everything that can be kept is durable."""
    body: dict[str, object] = {"success": True}
    if rejected:
        body["rejected"] = [
            {"code": one.code, "message": one.detail, "path": one.path}
            for one in rejected[:SHOWN_REJECTIONS]
        ]
        body["rejected_count"] = len(rejected)
    return JsonResponse(body)


def refused(status: int, code: str, message: str) -> JsonResponse:
    """Answer an error in the form that Segment's SDKs read."""
    return JsonResponse(
        {"success": False, "code": code, "message": message}, status=status
    )


def later(status: int, code: str, message: str, *, retry_after_s: int) -> JsonResponse:
    """Answer an error that goes away by waiting."""
    response = refused(status, code, message)
    response["Retry-After"] = str(retry_after_s)
    return response


def failed(error: Exception, *, path: str) -> JsonResponse:
    """Answer 503, whatever failed here: a 4xx would make SDKs drop their events."""
    if isinstance(error, LaneFull):
        return _again(BUSY, BUSY_SENTENCE)
    if isinstance(error, AWAY):
        logger.warning("database away: %s", error)
        return _again(
            "unavailable",
            "The database cannot be reached; nothing was stored. Send this again.",
        )
    incident = secrets.token_hex(6)
    logger.error("incident %s in %s", incident, path, exc_info=error)
    return _again(
        "internal_error",
        f"Something failed here; nothing is lost, send this again. Ask the "
        f"operator about incident {incident} if it stays.",
    )


def _again(code: str, message: str) -> JsonResponse:
    return later(503, code, message, retry_after_s=spread_s())


def spread_s() -> int:
    """Return 2 to 5 seconds, so that clients do not come back all at once."""
    return 2 + secrets.randbelow(4)
