"""The door for providers' webhooks: verify, store raw, answer; nothing else."""

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from campaigns.deciding import clock
from campaigns.deciding.outage import AWAY, RETRY_AFTER_S, distrust_connection
from campaigns.domain.signatures import Verdict, verify_sendgrid
from campaigns.metrics.refused import REFUSED
from campaigns.models import WebhookBatch, WebhookEndpoint

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 8 * 2**20  # SendGrid's own batches stay below 1 MB
SIGNATURE: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
_SLUG: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_CHUNK_BYTES: Final = 64 * 2**10
_WHY: Final = {
    Verdict.NO_SIGNATURE: "switch on the signed event webhook in SendGrid",
    Verdict.BAD_TIMESTAMP: "the signed time is not a time, or lies ahead of ours",
    Verdict.BAD_KEY: "this endpoint has no usable verification key; add one",
    Verdict.BAD_SIGNATURE: "no verification key of this endpoint fits",
    Verdict.STALE: "it was signed too long ago",
}

View = Callable[[HttpRequest, str], HttpResponse]


class _Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(reason)
        self.response = JsonResponse(
            {"reason": reason, "message": message}, status=status
        )


def _door(view: View) -> View:
    """Take POSTs only, and answer an outage so that the provider comes again."""

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest, slug: str) -> HttpResponse:
        if request.method != "POST":
            refused = _Refused(405, "method_not_allowed", "Post to this address.")
            refused.response["Allow"] = "POST"
            return refused.response
        try:
            return view(request, slug)
        except _Refused as error:
            return error.response
        except AWAY as error:
            logger.warning("a webhook is put off, the database is away: %s", error)
            distrust_connection()
            message = "The database cannot be reached; nothing was stored."
            late = _Refused(503, "unavailable", message).response
            late["Retry-After"] = str(RETRY_AFTER_S)
            return late

    return guarded


@_door
def sendgrid(request: HttpRequest, slug: str) -> HttpResponse:
    """Store a signed body as it came; durable when this answers 200.

    What is not signed by a key of the endpoint, lately, is refused and not
    kept. An address that does not exist answers like one that is switched off.
    """
    endpoint = _endpoint(slug)
    body = _read(request)
    now = clock.now()
    verdict = verify_sendgrid(
        body,
        signature=request.headers.get(SIGNATURE, ""),
        timestamp=request.headers.get(TIMESTAMP, ""),
        keys=endpoint.public_keys,
        now=now,
        max_age=settings.WEBHOOK_MAX_AGE,
    )
    if verdict is not Verdict.OK:
        logger.warning("a webhook was refused: %s", verdict)
        REFUSED.count(f"webhook_{verdict}")
        status = 401 if verdict is Verdict.NO_SIGNATURE else 403
        raise _Refused(status, str(verdict), f"Not believed: {_WHY[verdict]}.")
    REFUSED.flush_if_due()
    WebhookBatch.objects.create(
        endpoint=endpoint, received_at=now, pending_at=now, body=body
    )
    return JsonResponse({"stored": True})


def _endpoint(slug: str) -> WebhookEndpoint:
    found = None
    if _SLUG.fullmatch(slug):
        found = WebhookEndpoint.objects.filter(
            slug=slug, kind="sendgrid", enabled=True
        ).first()
    if found is None:
        raise _Refused(404, "not_found", "There is no such address.")
    return found


def _read(request: HttpRequest) -> bytes:
    """Return the raw body; a longer one is refused before it is held in memory."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit()):
        raise _Refused(411, "length_required", "Send a Content-Length.")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise _Refused(
            413, "body_too_large", f"A body has at most {MAX_BODY_BYTES} bytes."
        )
    parts: list[bytes] = []
    left = int(length)
    try:
        while left > 0 and (part := request.read(min(left, _CHUNK_BYTES))):
            parts.append(part)
            left -= len(part)
    except (UnreadablePostError, OSError):
        left = 1
    if left:
        raise _Refused(400, "incomplete_body", "The body ended too early.")
    return b"".join(parts)
