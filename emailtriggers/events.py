"""Events answered in the door's loop: no thread, no Django request, the same answer.

Only what is plain goes this way: a whole, small body, a known secret key, nothing in
the head that Django's middleware would look at. All else is declined before anything
is kept, and Django answers it (campaigns.receive.views). Nothing here waits but for
the lane's commit.
"""

import logging
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from django.conf import settings
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host

from campaigns.deciding import clock
from campaigns.domain.events import SourceRef, Trust
from campaigns.ingest.lane import LANE, LaneFull, is_alone
from campaigns.ingest.record import Batch
from campaigns.receive import answers, taking
from campaigns.receive.auth import KEYS, basic_key
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import BadBody, Parsed
from emailtriggers.door import Answer, Environ, Later, Request
from emailtriggers.rsgi import Headers
from emailtriggers.wsgi import application

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 2**10
CALLS: Final = {f"/v1/{call}{end}": call for call in segment.CALLS for end in ("", "/")}
# What the middleware, the view or its parser of bodies would look at.
_NOT_PLAIN: Final = (
    "HTTP_CONTENT_ENCODING",
    "HTTP_COOKIE",
    "HTTP_ORIGIN",
    "HTTP_TRANSFER_ENCODING",
)
_PLAIN_TYPES: Final = frozenset(
    {
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        "text/plain",
    }
)
_PROTO: Final = "HTTP_X_FORWARDED_PROTO"
Proto = tuple[str, str | None]  # the connection's scheme, and what a proxy says


class _Declined(Exception):
    """Django should answer this one."""


class _Desk:
    """What the reading of a request asks: here nobody may wait for an answer."""

    def source(self, key: str) -> SourceRef:
        source = KEYS.peek(key)
        # A public source's client has a rate, which a cache elsewhere may count.
        if source is None or source.trust is Trust.PUBLIC:
            raise _Declined
        return source

    def now(self) -> datetime:
        now = clock.reckoned()
        if now is None:
            raise _Declined
        return now

    def admit(self, source: SourceRef) -> None:
        """Do nothing: who has a secret key has no rate."""

    def charge(self, source: SourceRef, parsed: Parsed) -> None:
        """Do nothing, either."""


_DESK: Final = _Desk()


def post(request: Request) -> Answer | Later | None:
    """Answer a POST to one of CALLS once its events are durable, or decline it."""
    batch = _read(request)
    if batch is None or is_alone(batch) or not (batch.events or batch.rejected):
        return None
    environ = request.environ
    proto = environ["wsgi.url_scheme"], environ.get(_PROTO)
    try:
        recorded = LANE.submit(batch)
    except LaneFull as full:
        return _worded(answers.failed(full, path=environ["PATH_INFO"]), proto)

    def answer() -> Answer:
        error = recorded.exception()
        if isinstance(error, Exception):
            return _worded(answers.failed(error, path=environ["PATH_INFO"]), proto)
        refused = recorded.result().refused
        return _worded(answers.taken(refused), proto) if refused else _taken(proto)

    return Later(recorded, answer)


def _read(request: Request) -> Batch | None:
    """Return what the request brings, or None: it is not plain, or to be refused."""
    environ = request.environ
    if not _is_plain(environ, request.body):
        return None
    try:
        return taking.read(
            CALLS[environ["PATH_INFO"]],
            basic_key(environ.get("HTTP_AUTHORIZATION", "")),
            lambda: request.body,
            desk=_DESK,
        )
    except (_Declined, taking.KeyRefused, BadBody):
        return None
    except Exception:
        logger.exception("events could not be read in the loop")
        return None


def _is_plain(environ: Environ, body: bytes) -> bool:
    """Return whether Django would see nothing else in the request than we do."""
    host = environ["HTTP_HOST"]
    domain, _ = split_domain_port(host)
    return (
        len(body) <= MAX_BYTES
        and environ.get("CONTENT_LENGTH") == str(len(body))
        and not environ["QUERY_STRING"]
        and environ.get("CONTENT_TYPE", "").lower() in _PLAIN_TYPES
        and environ.get(_PROTO) in (None, "http", "https")
        and not any(name in environ for name in _NOT_PLAIN)
        and bool(domain)
        and validate_host(domain, settings.ALLOWED_HOSTS)
    )


@lru_cache(maxsize=8)
def _taken(proto: Proto) -> Answer:
    return _worded(answers.taken(), proto)


def _worded(response: HttpResponse, proto: Proto) -> Answer:
    """Return a view's response as it would leave Django."""
    own = [(k, v) for k, v in response.items() if k != "Vary"]
    length = str(len(response.content))
    around = [(k, length if k == "Content-Length" else v) for k, v in _around(proto)]
    return Answer(response.status_code, [*own, *around], response.content)


@lru_cache(maxsize=8)
def _around(proto: Proto) -> Headers:
    """Return the headers that the views' door and the middleware add to an answer.

    They are those of a preflight, which Django answers without the database.
    """
    headers: Headers = []

    def start_response(_status: str, given: Headers, *_exc_info: object) -> Any:
        headers.extend(given)

    scheme, told = proto
    environ: Environ = {
        "REQUEST_METHOD": "OPTIONS",
        "PATH_INFO": "/v1/track",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(),
    }
    if told is not None:
        environ[_PROTO] = told
    application(environ, start_response)
    names = [name for name, _ in headers]
    return headers[names.index("Vary") :]


def forget() -> None:
    """Ask Django anew what it adds; for tests that change the settings."""
    _around.cache_clear()
    _taken.cache_clear()
