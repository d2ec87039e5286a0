"""Let web pages of any origin post: the write key is the permission, not the page."""

from typing import Final

from django.http import HttpRequest, HttpResponse

ALLOWED_HEADERS: Final = "authorization, content-type, x-retry-count"
ALLOWED_METHODS: Final = "GET, POST, OPTIONS"
MAX_AGE_S: Final = 7200  # Chromium's own ceiling.


def preflight(request: HttpRequest) -> HttpResponse:
    """Answer OPTIONS: the Authorization header makes browsers ask first."""
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = ALLOWED_METHODS
    response["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response["Access-Control-Max-Age"] = str(MAX_AGE_S)
    return allow_origin(request.headers.get("Origin"), response)


def allow_origin(origin: str | None, response: HttpResponse) -> HttpResponse:
    """Let the asking page, if it is one, read the answer and its Retry-After.

    The origin is echoed without leave for credentials: cookies stay out.
    """
    if origin:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = "Retry-After"
    response["Vary"] = "Origin"
    return response
