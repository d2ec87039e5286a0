"""Error answers: JSON where programs ask, Django's plain pages where people do."""

from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import defaults

from campaigns.receive import answers, cors
from campaigns.watching.page import PLAIN

PROGRAMS: Final = ("/v1/", "/webhooks/", "/healthz", "/readyz", "/metrics")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 400, such as for a Host that is not in ALLOWED_HOSTS."""
    if request.path.startswith(PROGRAMS):
        return _json(
            HTTPStatus.BAD_REQUEST,
            "This request is malformed, or names a host that ALLOWED_HOSTS lacks.",
        )
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 404."""
    if request.path.startswith(PROGRAMS):
        return _json(
            HTTPStatus.NOT_FOUND,
            f"There is nothing at {request.path[:200]}. docs/api.md lists the paths.",
        )
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer 500 without a word on the cause; that is in the log."""
    if request.path.startswith(PROGRAMS):
        return _json(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "This is our fault and is in the server's log. Send it again later.",
        )
    return defaults.server_error(request)


def busy(request: HttpRequest) -> HttpResponse:
    """Answer 503 because more wait than can be served; nothing was kept or done."""
    response = _refused(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        answers.BUSY,
        answers.BUSY_SENTENCE,
    )
    response["Retry-After"] = str(answers.spread_s())
    return response


def too_slow(request: HttpRequest, *, within_s: int) -> HttpResponse:
    """Answer 408 because a body stalled or trickled."""
    return _refused(
        request,
        HTTPStatus.REQUEST_TIMEOUT,
        "too_slow",
        f"The body did not arrive within {within_s} seconds; send it again.",
    )


def _refused(
    request: HttpRequest, status: HTTPStatus, code: str, sentence: str
) -> HttpResponse:
    """Word a refusal as the views under the request's path word theirs."""
    if request.path.startswith("/v1/"):
        origin = request.headers.get("Origin")
        return cors.allow_origin(origin, answers.refused(status, code, sentence))
    if request.path.startswith("/webhooks/"):
        return JsonResponse({"reason": code, "message": sentence}, status=status)
    if request.path.startswith(PROGRAMS):
        return _json(status, sentence)
    return HttpResponse(sentence, status=status, content_type=PLAIN)


def _json(status: HTTPStatus, sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=status)
