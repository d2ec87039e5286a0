"""The front door: reads whole requests without a thread, then has Django answer.

granian calls it by RSGI, in one event loop for each worker process. A body that
trickles in, or a client that says nothing, costs memory there and no thread. Only
a complete request goes on: to a handler in the loop, or by WSGI to Django, in one
of the pool's threads with its own lasting database connection.
"""

import asyncio
import io
import logging
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Any, Final
from wsgiref.types import WSGIApplication

from emailtriggers.rsgi import Headers, HTTPProtocol, ProtocolClosed, Scope
from emailtriggers.threads import Pool, Teller

logger = logging.getLogger(__name__)

Environ = dict[str, Any]  # as PEP 3333 says

# Read in one go: not more than the server buffers for a connection anyway.
AT_ONCE_BYTES: Final = 64 * 2**10
# What bodies may hold of a worker's memory, all requests together.
HELD_BYTES: Final = 64 * 2**20
PATIENCE_S: Final = 5.0
QUIET_S: Final = 60.0  # between two alarms


class Refusal(Enum):
    """Why the door itself turns a request away."""

    BUSY = "busy"  # our trouble: come again
    SLOW = "slow"  # the body did not arrive in time


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its body, which is all there (`is_whole`) or cut at the limit."""

    environ: Environ
    body: bytes
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without a stream."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that is known once `result` is done; whoever completes that sends it."""

    result: Future[Any]
    answer: Callable[[], Answer]


# None: declined, Django answers.
Handler = Callable[[Request], Answer | Later | None]


def _unseen(_path: str, _status: int, _took_s: float) -> None:
    """Let nobody know."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What the door asks the product.

    `body_limit` says how many bytes of a body are read for a path; 0 reads none.
    `handler` names who answers a whole request in the loop, by method and path;
    None leaves it to Django. `refuse` words a refusal. `close` ends what handlers
    started, within so many seconds; it returns False if that takes longer.
    `observe` is told path, status and seconds of each that was answered.
    """

    body_limit: Callable[[str], int]
    handler: Callable[[str, str], Handler | None]
    refuse: Callable[[Refusal, Environ], Answer]
    close: Callable[[float], bool] = lambda _patience_s: True
    observe: Callable[[str, int, float], None] = _unseen


class _RefusedError(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why = why


class Door:
    """One worker's door: an RSGI application."""

    def __init__(
        self,
        application: WSGIApplication,
        ways: Ways,
        *,
        pool: Pool,
        body_s: float,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        """Take Django's WSGI handler, and the seconds within which a body must come.

        All bodies together hold `held_bytes` at most, but for those so small that
        the server has them in its buffers anyway.
        """
        self.application = application
        self.ways = ways
        self.pool = pool
        self.body_s = body_s
        self.held_bytes = held_bytes
        self._told = Teller()
        self._held = 0
        self._alarmed_at = float("-inf")

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Let threads finish whose clients are gone; all others have their answers."""
        # First the threads, which may wait for what handlers started.
        closed = self.pool.close(patience_s=PATIENCE_S)
        if not (self.ways.close(PATIENCE_S) and closed):
            logger.warning("stopped while requests without clients were under way")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request. What fails here is logged by granian, and answered 500."""
        began = perf_counter()
        status = 500
        try:
            status = await self._handle(scope, protocol)
        finally:
            self.ways.observe(scope.path, status, perf_counter() - began)

    async def _handle(self, scope: Scope, protocol: HTTPProtocol) -> int:
        """Answer one request; return the status."""
        environ = environ_of(scope)
        try:
            request = await self._read(
                environ, self.ways.body_limit(scope.path), protocol
            )
        except _RefusedError as refused:
            return self._turn_away(refused.why, environ, protocol)
        self._held += len(request.body)
        try:
            return await self._answer(request, scope, protocol)
        finally:
            self._held -= len(request.body)

    async def _answer(
        self, request: Request, scope: Scope, protocol: HTTPProtocol
    ) -> int:
        handler = self.ways.handler(scope.method, scope.path)
        if handler is not None and request.is_whole:
            answer = handler(request)
            if isinstance(answer, Later):
                return await self._send_later(answer, protocol)
            if answer is not None:
                return _send(protocol, answer)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def job() -> None:
            status = 500
            try:
                status = _serve(self.application, request, protocol)
            finally:
                self._told.tell(done, status)

        if self.pool.take(job):
            return await done
        return self._turn_away(Refusal.BUSY, request.environ, protocol)

    async def _send_later(self, later: Later, protocol: HTTPProtocol) -> int:
        """Have the answer sent by the thread that comes to know it.

        The client need not wait until the loop has its turn.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def send(_result: Future[Any]) -> None:
            status = 500
            try:
                status = _send(protocol, later.answer())
            finally:
                self._told.tell(done, status)

        later.result.add_done_callback(send)
        return await done

    def _turn_away(self, why: Refusal, environ: Environ, protocol: HTTPProtocol) -> int:
        """Refuse; that we are too busy is also said in the log, once a minute."""
        now = asyncio.get_running_loop().time()
        if why is Refusal.BUSY and now >= self._alarmed_at + QUIET_S:
            self._alarmed_at = now
            logger.warning(
                "requests are answered 503: %s are under way, bodies hold %s bytes",
                self.pool.busy,
                self._held,
            )
        return _send(protocol, self.ways.refuse(why, environ))

    async def _read(
        self, environ: Environ, limit: int, protocol: HTTPProtocol
    ) -> Request:
        """Return the request with what a path may read of its body.

        Nothing is read of a body that says that it is longer; of one that does not
        say, one byte more than the limit, so that a reader sees that it is too long.
        """
        length = _length(environ)
        if length == 0 or limit == 0 or (length or 0) > limit:
            return Request(environ, b"", is_whole=length == 0)
        try:
            async with asyncio.timeout(self.body_s):
                if length is not None and length <= AT_ONCE_BYTES:
                    return Request(environ, await protocol(), is_whole=True)
                body, ended = await self._read_parts(protocol, limit + 1)
        except TimeoutError:
            raise _RefusedError(Refusal.SLOW) from None
        except ProtocolClosed:
            # Whoever sent only a part may still read why it was not taken.
            return Request(environ, b"", is_whole=False)
        is_whole = ended if length is None else len(body) == length
        return Request(environ, body, is_whole=is_whole)

    async def _read_parts(
        self, protocol: HTTPProtocol, most: int
    ) -> tuple[bytes, bool]:
        """Return at most `most` bytes of a body, and whether it ended before that.

        What is read counts against what all requests may hold together.
        """
        parts: list[bytes] = []
        size = empty = 0
        try:
            async for part in protocol:
                parts.append(part)
                size += len(part)
                empty += not part
                self._held += len(part)
                if self._held > self.held_bytes:
                    raise _RefusedError(Refusal.BUSY)
                if size >= most:
                    break
        finally:
            self._held -= size
        # granian ends with one empty part; a connection that broke yields another.
        return b"".join(parts)[:most], size < most and empty == 1


def environ_of(scope: Scope) -> Environ:
    """Return the WSGI environment of a request, without its body.

    As granian's own for WSGI, but for names with an underscore, which are dropped:
    WSGI cannot tell X_Forwarded_For from the X-Forwarded-For that a proxy has set.
    """
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "Granian",
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    headers = scope.headers
    for name in headers.keys():  # noqa: SIM118 - iterating copies the same list
        if "_" not in name:
            values = headers.get_all(name)
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = (";" if name == "cookie" else ",").join(values)
    environ.setdefault("HTTP_HOST", scope.authority or "")
    return environ


def _length(environ: Environ) -> int | None:
    """Return how long the body says it is; None if it is sent in chunks.

    The server has refused a Content-Length that is no number.
    """
    text = environ.get("CONTENT_LENGTH")
    if text:
        return int(text)
    return None if "HTTP_TRANSFER_ENCODING" in environ else 0


def _serve(
    application: WSGIApplication, request: Request, protocol: HTTPProtocol
) -> int:
    """Have Django answer a request, in this thread; return the status."""
    status = 500
    headers: Headers = []

    def start_response(line: str, given: Headers, *_exc_info: object) -> Any:
        nonlocal status, headers
        status, headers = int(line[:3]), given

    environ = {**request.environ, "wsgi.input": io.BytesIO(request.body)}
    response = application(environ, start_response)
    try:
        if getattr(response, "streaming", False):
            _stream(protocol, status, headers, response)
        else:
            protocol.response_bytes(status, headers, b"".join(response))
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()
    return status


def _stream(
    protocol: HTTPProtocol, status: int, headers: Headers, parts: Iterable[bytes]
) -> None:
    """Hand the parts over as they come, until the client has left.

    The server keeps what the client has not read yet: a slow reader costs its
    memory, never a thread.
    """
    stream = protocol.response_stream(status, headers)
    for part in parts:
        try:
            # Ready at once, so that no loop is needed: it says whether it was taken.
            next(stream.send_bytes(part).__await__(), None)
        except ProtocolClosed:
            return


def _send(protocol: HTTPProtocol, answer: Answer) -> int:
    protocol.response_bytes(answer.status, answer.headers, answer.body)
    return answer.status
