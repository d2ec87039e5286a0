"""The Segment API's doors: authenticate, limit, parse, record, answer."""

import logging
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Final
from urllib.parse import unquote

import psycopg
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from campaigns.deciding import clock
from campaigns.deciding.database import DatabaseAway
from campaigns.domain.events import SourceRef, Trust
from campaigns.ingest.record import record
from campaigns.receive import answers, cors
from campaigns.receive.auth import KEYS, named_key
from campaigns.receive.body import read_body
from campaigns.receive.limits import LIMITER, address_key, costs, public_rate
from campaigns.receive.refusals import REFUSALS
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import BadBody, Parsed

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]
METRICS_CALL: Final = "m"
_AWAY: Final = (
    DatabaseAway,
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


class _RefusedError(Exception):
    """The request is turned away with this answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status_code)
        self.response = response


def door(*methods: str) -> Callable[[View], View]:
    """Guard a view: preflights, other methods, and whatever goes wrong inside.

    Nothing that a client sends, and no failure of ours, becomes an HTML page.
    """

    def guard(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, **kwargs: str) -> HttpResponseBase:
            if request.method == "OPTIONS":
                return cors.preflight(request)
            if request.method not in methods:
                response: HttpResponse = _wrong_method(request, methods)
            else:
                response = _answer(view, request, kwargs)
            return cors.allow_origin(request, response)

        return guarded  # type: ignore[return-value]

    return guard


def _answer(view: View, request: HttpRequest, kwargs: dict[str, str]) -> HttpResponse:
    try:
        response = view(request, **kwargs)
        REFUSALS.flush_if_due()
    except _RefusedError as error:
        return error.response
    except BadBody as error:
        return answers.refused(400, error.code, error.message)
    except DisallowedHost:
        return answers.refused(
            400, "unknown_host", "The Host header is not one of ALLOWED_HOSTS."
        )
    except _AWAY as error:
        logger.warning("database away: %s", error)
        # Tells Django to test this thread's connection before using it again.
        connection.errors_occurred = True
        return answers.database_away()
    except Exception:
        incident = secrets.token_hex(6)
        logger.exception("incident %s in %s", incident, request.path)
        return answers.later(
            503,
            "internal_error",
            f"Something failed here; nothing is lost, send this again. Ask the "
            f"operator about incident {incident} if it stays.",
            retry_after_s=answers.spread_s(),
        )
    return response


def _wrong_method(request: HttpRequest, methods: tuple[str, ...]) -> JsonResponse:
    response = answers.refused(
        405,
        "method_not_allowed",
        f"{request.method} is not possible here; use {' or '.join(methods)}.",
    )
    response["Allow"] = ", ".join((*methods, "OPTIONS"))
    return response


@door("POST")
def post_events(request: HttpRequest, *, call: str) -> HttpResponse:
    """Take the events of one Segment call."""
    if call == METRICS_CALL:
        return answers.taken()  # SDKs' metrics about themselves.
    if call not in segment.CALLS:
        known = ", ".join(segment.CALLS)
        return answers.refused(
            404, "unknown_call", f"/v1/{call} is not known; these are: {known}."
        )
    source = _named_source(request)
    body = read_body(request, limit=segment.MAX_BODY_BYTES)
    envelope = segment.open_envelope(call, body)
    source = source or _source_of(envelope.write_key)
    parsed = segment.read(envelope, received_at=clock.now())
    _take_allowance(request, source, parsed)
    if not (parsed.events or parsed.rejected):
        return answers.taken()
    recorded = record(parsed.events, source=source, rejected=parsed.rejected)
    return answers.taken(recorded.refused)


@door("GET")
def browser_settings(request: HttpRequest, *, key: str) -> HttpResponse:
    """Tell the browser snippet where to post; it asks by its `cdnURL`."""
    key = unquote(key)
    if KEYS.find(key) is None:
        REFUSALS.count("unknown_key")
        return answers.refused(
            404, "unknown_key", "No source has this write key; look in the admin."
        )
    host = {
        "apiKey": key,
        "apiHost": f"{request.get_host()}/v1",
        "protocol": request.scheme,
    }
    return JsonResponse({"integrations": {"Segment.io": host}, "plan": {}})


def _named_source(request: HttpRequest) -> SourceRef | None:
    """Return the source by header or query, None if neither names a key.

    A client over its rate is turned away here, before its body is read.
    """
    key = named_key(request)
    if key is None:
        return None
    source = _source_of(key)
    if source.trust is Trust.PUBLIC:
        bucket = address_key(source, request)
        if wait := LIMITER.wait_s([bucket], per_minute=public_rate()):
            raise _over_rate(wait)
    return source


def _source_of(key: str | None) -> SourceRef:
    if key is None:
        raise _unknown_key(
            "missing_key",
            "The request names no write key; send it as the user of Basic "
            'authentication, or as "writeKey" in the body or the query.',
        )
    source = KEYS.find(key)
    if source is None:
        raise _unknown_key(
            "unknown_key", "No source has this write key, or it was revoked."
        )
    return source


def _take_allowance(request: HttpRequest, source: SourceRef, parsed: Parsed) -> None:
    """Charge a public source's client for the request; raises if it must wait."""
    if source.trust is not Trust.PUBLIC:
        return
    address = address_key(source, request)
    wanted = costs(address, source, parsed.events, rejected=len(parsed.rejected))
    if wait := LIMITER.take(wanted, per_minute=public_rate()):
        raise _over_rate(wait)


def _unknown_key(reason: str, message: str) -> _RefusedError:
    """Refuse with 401. No WWW-Authenticate: browsers would ask visitors to log in."""
    REFUSALS.count(reason)
    return _RefusedError(answers.refused(401, reason, message))


def _over_rate(wait_s: int) -> _RefusedError:
    message = f"Too many events from this client; come back in {wait_s} seconds."
    return _RefusedError(
        answers.later(429, "rate_limited", message, retry_after_s=wait_s)
    )
