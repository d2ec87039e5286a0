"""What browsers may do with our answers, said in a header of each."""

from collections.abc import Callable
from typing import Final, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from emailtriggers.errors import PROGRAMS

NAME: Final = "Content-Security-Policy"
# The admin's theme writes its behaviour into attributes (Alpine), which takes eval;
# what matters is that nothing comes from, posts to or is framed by another site.
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)

# Answers that no person reads in a browser: led there, it saves them under our name.
APIS: Final = ("/v1/", "/webhooks/")
DISPOSITION: Final = 'attachment; filename="api.json"'

View = Callable[[HttpRequest], HttpResponseBase]
Response = TypeVar("Response", bound=HttpResponseBase)


def content_policy(get_response: View) -> View:
    """Add the policy to pages that have none of their own; programs are told theirs."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not request.path.startswith(PROGRAMS):
            response.headers.setdefault(NAME, POLICY)
        return not_shown(response, request.path)

    return respond


def not_shown(response: Response, path: str) -> Response:
    """Return the answer; if it is one of the APIs', no browser shows it as a page."""
    if path.startswith(APIS):
        response.headers["Content-Disposition"] = DISPOSITION
    return response
