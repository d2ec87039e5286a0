"""One POST over a pooled connection, within a deadline for the whole call.

The stock SDK opens a TLS connection for each mail and waits for ever. Here
connections are kept, nothing is ever sent twice, and each socket operation
gets only what is left of the call's time, so that a server which drips bytes
cannot stretch it. (The system's resolver keeps its own time limits.)
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Timer
from typing import Final
from urllib.parse import urlsplit

import certifi
import urllib3
from typing_extensions import Buffer
from urllib3.connection import HTTPConnection, HTTPSConnection

POOL_SIZE: Final = 64
CONNECT_TIMEOUT_S: Final = 3.0
MAX_IDLE_S: Final = 20.0  # front ends close idle connections after 60 s or more
MAX_ANSWER_BYTES: Final = 65_536


@dataclass(slots=True)
class Call:
    """The state of one POST. `handed` turns true before the body's first byte.

    Without its body a request cannot be obeyed, so while `handed` is false the
    server surely did not take the mail; from then on nobody knows.
    """

    ends_at: float
    handed: bool = False

    def left(self) -> float:
        """Return the seconds left, or raise TimeoutError when there are none."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the whole call has passed")
        return left


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status line with its headers (names in lower case) and body, cut."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class CallFailed(Exception):
    """No answer came. `handed` says whether the server may have the mail."""

    def __init__(self, detail: str, *, handed: bool) -> None:
        super().__init__(detail)
        self.handed = handed


_current: ContextVar[Call] = ContextVar("sendgrid_call")


class _DeadlineReader(io.RawIOBase):
    """Reads of a socket, each with no more time than the call has left."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        self._sock.settimeout(_current.get().left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(sock, raw))


class _DeadlineConnection(HTTPConnection):
    response_class = _Response
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        # A connection that rested long may be closed by the other side just
        # as we write: then nobody could tell what became of the mail.
        rested = time.monotonic() - self._used_at
        return super().is_connected and rested < MAX_IDLE_S

    def connect(self) -> None:
        self._used_at = time.monotonic()
        super().connect()

    def _new_conn(self) -> socket.socket:
        call = _current.get()
        error: OSError = OSError(f"{self._dns_host} has no address")
        found = socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM)
        for family, kind, protocol, _name, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(min(CONNECT_TIMEOUT_S, call.left()))
                sock.connect(address)
            except OSError as failed:
                sock.close()
                error = failed
            else:
                return sock
        raise error

    def endheaders(  # type: ignore[override]
        self, message_body: bytes | None = None, *, encode_chunked: bool = False
    ) -> None:
        super().endheaders(message_body, encode_chunked=encode_chunked)
        _current.get().handed = True  # the body follows

    def send(self, data: bytes) -> None:  # type: ignore[override]
        if self.sock is None:
            self.connect()
        call = _current.get()
        rest = memoryview(data)
        while rest:
            self.sock.settimeout(call.left())
            rest = rest[self.sock.send(rest) :]
        self._used_at = time.monotonic()


class _DeadlineTlsConnection(_DeadlineConnection, HTTPSConnection):
    _guard: Timer | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # A handshake makes many reads; a server that drips it is cut off.
        self._guard_socket = sock.dup()
        self._guard = Timer(_current.get().left(), _shut, [self._guard_socket])
        self._guard.daemon = True
        self._guard.start()
        return sock

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            guard = self._guard
            if guard is not None:
                guard.cancel()
                guard.join()
                self._guard_socket.close()
                self._guard = None


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already, which is all that was wanted


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _DeadlineTlsConnection


class Transport:
    """Connections to one host, shared by all threads of one process."""

    def __init__(self, host: str, *, ca_file: str | None = None) -> None:
        """Take `host` as a URL without a path; raises ValueError for any other."""
        parts = urlsplit(host)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"the provider's host must be an http(s) URL, not {host!r}"
            )
        if parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"the provider's host must have no path: {host!r}")
        self._pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file or certifi.where())
            self._pool = _TlsPool(
                parts.hostname, parts.port, maxsize=POOL_SIZE, ssl_context=context
            )
        else:
            self._pool = _Pool(parts.hostname, parts.port, maxsize=POOL_SIZE)

    def post(
        self, path: str, *, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> HttpAnswer:
        """POST once, at most `timeout_s` in all. Raises CallFailed, nothing else."""
        call = Call(ends_at=time.monotonic() + timeout_s)
        token = _current.set(call)
        try:
            return self._post(path, body=body, headers=headers, call=call)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"[:300]
            raise CallFailed(detail, handed=call.handed) from error
        finally:
            _current.reset(token)

    def _post(
        self, path: str, *, body: bytes, headers: Mapping[str, str], call: Call
    ) -> HttpAnswer:
        response = self._pool.urlopen(
            "POST",
            path,
            body=body,
            headers=headers,
            retries=False,  # whether to try again is not decided here
            redirect=False,
            timeout=call.left(),
            preload_content=False,
            decode_content=False,
        )
        found = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status, found, _body(response))

    def close(self) -> None:
        """Close the connections that rest."""
        self._pool.close()


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read what explains the answer; a body that breaks off changes no status."""
    try:
        text = response.read(MAX_ANSWER_BYTES)
        whole = not response.read(1)
    except Exception:  # noqa: BLE001 - the status line, which decides, is here
        response.close()
        return b""
    if whole:
        response.release_conn()
    else:
        response.close()
    return text
