"""Mails shown in frames: at their own address, with a policy that lets nothing run."""

from typing import Final

from django.http import HttpResponse
from django.utils.html import escape

POLICY: Final = (
    "sandbox; default-src 'none'; img-src https: http: data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


def framed(html: str) -> HttpResponse:
    """Return a mail's html for an iframe: nothing in it runs, links or posts."""
    response = HttpResponse(html)
    response["Content-Security-Policy"] = POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


def framed_words(words: str) -> HttpResponse:
    """Return a sentence where a mail should be."""
    return framed(f'<p style="font:15px sans-serif;color:#5b6675">{escape(words)}</p>')
