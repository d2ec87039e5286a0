"""What the door needs to know of the product: limits, the loop's own answers, words."""

from io import BytesIO
from typing import Final

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest

from campaigns.feedback.views import MAX_BODY_BYTES as WEBHOOK_BYTES
from campaigns.ingest.lane import LANE
from campaigns.metrics import counted
from campaigns.receive.wire.segment import MAX_BODY_BYTES as EVENTS_BYTES
from emailtriggers import errors, events, headers
from emailtriggers.door import (
    Answer,
    Environ,
    Handler,
    Refusal,
    Request,
    Ways,
)

ROUTES: Final = {
    "/v1/": "events",
    "/webhooks/": "webhooks",
    "/u/": "unsubscribe",
    "/admin/": "admin",
    "/static/": "static",
    "/healthz": "health",
    "/readyz": "health",
    "/metrics": "metrics",
}
ALIVE: Final = Answer(
    200,
    [
        ("Content-Type", "application/json"),
        ("Content-Length", "16"),
        ("X-Content-Type-Options", "nosniff"),
    ],
    b'{"status": "ok"}',
)


def body_limit(path: str) -> int:
    """Return how many bytes of a body somebody reads at that path.

    Elsewhere none is, such as behind unsubscribe links: there the body says nothing,
    and some mailboxes never send the one that they announce.
    """
    if path.startswith("/v1/"):
        return EVENTS_BYTES
    if path.startswith("/webhooks/"):
        return WEBHOOK_BYTES
    if path.startswith("/admin/"):
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return 0


def handler(method: str, path: str) -> Handler | None:
    """Return who answers in the loop: without a thread, and so without waiting."""
    if method == "POST" and path in events.CALLS:
        return events.post
    if path == "/healthz" and method in ("GET", "HEAD"):
        return healthz
    return None


def healthz(_request: Request) -> Answer:
    """Answer that this process serves, however busy its threads are."""
    return ALIVE


def refuse(why: Refusal, environ: Environ) -> Answer:
    """Word a refusal of the door's as the views under that path word theirs."""
    request = WSGIRequest({**environ, "wsgi.input": BytesIO()})
    if why is Refusal.BUSY:
        response = errors.busy(request)
    else:
        response = errors.too_slow(request, within_s=settings.WEB_BODY_S)
    response["Content-Length"] = str(len(response.content))
    response["X-Content-Type-Options"] = "nosniff"
    headers.not_shown(response, request.path)
    return Answer(response.status_code, list(response.items()), response.content)


def observe(path: str, status: int, took_s: float) -> None:
    """Count an answer in the metrics."""
    counted.REQUESTS.labels(route(path), f"{status // 100}xx").observe(took_s)


def route(path: str) -> str:
    """Return the kind of path, of which there are few; what clients invent is "other"."""
    for start, name in ROUTES.items():
        if path.startswith(start):
            return name
    return "other"


def close(patience_s: float) -> bool:
    """End what the loop's handlers started; return False if that takes longer."""
    return LANE.close(patience_s=patience_s)


WAYS: Final = Ways(
    body_limit=body_limit,
    handler=handler,
    refuse=refuse,
    close=close,
    observe=observe,
)
