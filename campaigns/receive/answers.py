"""What the Segment dialect answers, success or not."""

import secrets
from collections.abc import Sequence
from typing import Final

from django.http import JsonResponse

from campaigns.domain.events import RejectedInput

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


def database_away() -> JsonResponse:
    """Answer 503: never a 4xx, which would make SDKs drop their events."""
    return later(
        503,
        "unavailable",
        "The database cannot be reached; nothing was stored. Send this again.",
        retry_after_s=spread_s(),
    )


def spread_s() -> int:
    """Return 2 to 5 seconds, so that clients do not come back all at once."""
    return 2 + secrets.randbelow(4)
