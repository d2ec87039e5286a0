"""The unsubscribe link (RFC 8058): a POST acts at once, anything else only shows.

Mailboxes POST without cookies or login, scanners GET and even run scripts. So
there is no CSRF check, for the token is the proof, and no script.
"""

import logging
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from campaigns.compliance import unsubscribing
from campaigns.deciding.outage import AWAY, RETRY_AFTER_S, distrust_connection

logger = logging.getLogger(__name__)

EVERYTHING: Final = "all"
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@csrf_exempt
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the link is for, or on a POST do it; a repeat answers the same."""
    if request.method == "OPTIONS" or request.method not in METHODS:
        response = HttpResponse(status=204 if request.method == "OPTIONS" else 405)
        response["Allow"] = ", ".join(METHODS)
        return response
    try:
        response = _answer(request, token)
    except AWAY as error:
        logger.warning("an unsubscribe is put off, the database is away: %s", error)
        distrust_connection()
        response = _page(request, "later", status=503)
        response["Retry-After"] = str(RETRY_AFTER_S)
    return _private(response)


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    asked = unsubscribing.ask(token)
    if asked is None:
        return _page(request, "bad", status=404)
    if request.method != "POST":
        return _page(request, "ask", asked=asked)
    # The buttons of the page say in the address what they mean; a mailbox's POST
    # says nothing there. So no body is read: some clients leave it out, and one
    # that never ends would keep a thread of ours.
    scope = request.GET.get("scope", "")
    everything = scope == EVERYTHING or not asked.topic
    unsubscribing.act(
        asked,
        everything=everything,
        origin="unsubscribe_page" if scope else "one_click",
        wording=_wording(asked, everything=everything),
    )
    return _page(request, "done", asked=asked, everything=everything)


def _wording(asked: unsubscribing.Asked, *, everything: bool) -> str:
    return f"Unsubscribe from {'everything' if everything else asked.topic}"


def _page(
    request: HttpRequest,
    state: str,
    *,
    status: int = 200,
    asked: unsubscribing.Asked | None = None,
    everything: bool = False,
) -> HttpResponse:
    context = {"state": state, "asked": asked, "everything": everything}
    return render(request, "unsubscribe.html", context, status=status, using="jinja2")


def _private(response: HttpResponse) -> HttpResponse:
    """Keep the page, whose address can act, out of caches, referrers and searches."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Content-Security-Policy"] = POLICY
    return response
