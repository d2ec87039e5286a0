"""RSGI as granian speaks it, in types: one request's head, its body, its answer.

https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Protocol

# Not among the names that granian declares to type checkers.
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

__all__ = ["HTTPProtocol", "Headers", "ProtocolClosed", "Scope"]

Headers = list[tuple[str, str]]


class GivenHeaders(Protocol):
    """The headers of a request; names are in lower case."""

    def keys(self) -> Sequence[str]:
        """Return each name once."""

    def get_all(self, key: str) -> Sequence[str]:
        """Return the values of a name, without those that are not ASCII."""


class Scope(Protocol):
    """The head of a request; `client` and `server` are address:port.

    `path` is decoded, and what is not UTF-8 in it replaced; the query is as sent.
    """

    http_version: str
    client: str
    server: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None
    headers: GivenHeaders


class Stream(Protocol):
    """An answer in parts."""

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Queue a part; ProtocolClosed, when awaited, if the client has left."""


class HTTPProtocol(Protocol):
    """The body of a request, and its answer, which any thread may give."""

    def __call__(self) -> Awaitable[bytes]:
        """Read the whole body; ProtocolClosed if the connection breaks."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Read the body in parts."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer."""

    def response_stream(self, status: int, headers: Headers) -> Stream:
        """Begin an answer in parts, which ends with the request."""
