"""The Segment API's doors: authenticate, limit, parse, record, answer."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Final
from urllib.parse import unquote

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from campaigns.deciding import clock
from campaigns.deciding.outage import AWAY, distrust_connection
from campaigns.domain.events import SourceRef, Trust
from campaigns.ingest.lane import LANE
from campaigns.metrics.refused import REFUSED
from campaigns.receive import answers, cors, taking
from campaigns.receive.auth import KEYS, named_key
from campaigns.receive.body import read_body
from campaigns.receive.limits import LIMITER, address_key, costs, public_rate
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import BadBody, Parsed

View = Callable[..., HttpResponse]
METRICS_CALL: Final = "m"


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
            return cors.allow_origin(request.headers.get("Origin"), response)

        return guarded  # type: ignore[return-value]

    return guard


def _answer(view: View, request: HttpRequest, kwargs: dict[str, str]) -> HttpResponse:
    try:
        response = view(request, **kwargs)
        REFUSED.flush_if_due()
    except _RefusedError as error:
        return error.response
    except BadBody as error:
        return answers.refused(400, error.code, error.message)
    except DisallowedHost:
        return answers.refused(
            400, "unknown_host", "The Host header is not one of ALLOWED_HOSTS."
        )
    except AWAY as error:
        distrust_connection()
        return answers.failed(error, path=request.path)
    except Exception as error:  # noqa: BLE001 - it is logged there
        return answers.failed(error, path=request.path)
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
    desk = _Desk(request)
    try:
        batch = taking.read(call, named_key(request), desk.body, desk=desk)
    except taking.KeyRefused as error:
        REFUSED.count(error.reason)
        # No WWW-Authenticate: browsers would ask visitors to log in.
        return answers.refused(401, error.reason, error.message)
    if not (batch.events or batch.rejected):
        return answers.taken()
    return answers.taken(LANE.record(batch).refused)


@door("GET")
def browser_settings(request: HttpRequest, *, key: str) -> HttpResponse:
    """Tell the browser snippet where to post; it asks by its `cdnURL`."""
    key = unquote(key)
    if KEYS.find(key) is None:
        REFUSED.count("unknown_key")
        return answers.refused(
            404, "unknown_key", "No source has this write key; look in the admin."
        )
    host = {
        "apiKey": key,
        "apiHost": f"{request.get_host()}/v1",
        "protocol": request.scheme,
    }
    return JsonResponse({"integrations": {"Segment.io": host}, "plan": {}})


class _Desk:
    """What the reading of a request asks: here it may wait for the database."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def source(self, key: str) -> SourceRef | None:
        return KEYS.find(key)

    def body(self) -> bytes:
        return read_body(self._request, limit=segment.MAX_BODY_BYTES)

    def now(self) -> datetime:
        return clock.reckoned() or clock.now()

    def admit(self, source: SourceRef) -> None:
        """Turn a public source's client away that is over its rate already."""
        if source.trust is Trust.PUBLIC:
            bucket = address_key(source, self._request)
            if wait := LIMITER.wait_s([bucket], per_minute=public_rate()):
                raise _over_rate(wait)

    def charge(self, source: SourceRef, parsed: Parsed) -> None:
        """Charge a public source's client for the request; raises if it must wait."""
        if source.trust is Trust.PUBLIC:
            address = address_key(source, self._request)
            wanted = costs(
                address, source, parsed.events, rejected=len(parsed.rejected)
            )
            if wait := LIMITER.take(wanted, per_minute=public_rate()):
                raise _over_rate(wait)


def _over_rate(wait_s: int) -> _RefusedError:
    message = f"Too many events from this client; come back in {wait_s} seconds."
    return _RefusedError(
        answers.later(429, "rate_limited", message, retry_after_s=wait_s)
    )
