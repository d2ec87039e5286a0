"""Requests as bytes: their heads, and odd words that may stand in them."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from fuzz.values import odd


class Kind(StrEnum):
    """What a request aims at."""

    EVENTS = "events, right key, JSON"
    DJANGO = "events, right key, JSON, odd head"
    PUBLIC = "events, public key"
    BROKEN = "events, right key, no JSON"
    STRANGER = "events, no right key"
    WEBHOOK = "webhook, signed"
    FORGED = "webhook, forged"
    LINK = "unsubscribe links"
    LOOK = "health, metrics, files, settings, others"
    LOGIN = "admin"
    STAFF = "admin, signed in"
    HOST = "metrics of a host without web"
    RAW = "no HTTP, or odd HTTP"


@dataclass(frozen=True, slots=True)
class Request:
    """The bytes to send. `steady`: others may follow on the same connection.

    `events` are how many it brings, of a call that can be read. `fill` turns the page
    that is answered into the bytes of a form, to be sent in its place. `port` is
    another than the web server's, if not 0.
    """

    kind: Kind
    data: bytes
    steady: bool = True
    is_head: bool = False
    events: int = 0
    fill: Callable[[bytes], bytes] | None = None
    port: int = 0


_BAD_IN_HEADS: Final = {ord(c): None for c in "\x00\r\n\x01\x7f \ud800\udfff\ud83d"}
_NAMES: Final = (
    "Accept", "Accept-Language", "If-Modified-Since", "If-None-Match", "Range", "Cookie",
    "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X_Forwarded_For",
    "Accept-Encoding", "Content-Encoding", "Expect", "Upgrade", "Origin", "Referer",
)  # fmt: skip


def word(rng: Random) -> str:
    """Return an odd text that may stand in a head."""
    text = str(odd(rng))[:200].translate(_BAD_IN_HEADS)
    return text if rng.random() < 0.5 else text + f"%{rng.randrange(256):02x}"


def name(rng: Random) -> str:
    """Return the name of a head that somebody reads."""
    return rng.choice(_NAMES)


def basic(key: str) -> str:
    """Return the credentials that a key is in calls of the event API."""
    pair = f"{key}:".encode(errors="replace")
    return f"Basic {base64.b64encode(pair).decode()}"


def post(path: str, body: bytes, *headers: tuple[str, str]) -> bytes:
    """Return a POST, of JSON unless the headers say otherwise."""
    kind = ("Content-Type", "application/json")
    if any(named == "Content-Type" for named, _ in headers):
        return head("POST", path, body, *headers)
    return head("POST", path, body, kind, *headers)


def head(method: str, path: str, body: bytes, *headers: tuple[str, str]) -> bytes:
    """Return a whole request."""
    lines = "".join(f"{named}: {value}\r\n" for named, value in headers)
    if not any(n in ("Content-Length", "Transfer-Encoding") for n, _ in headers):
        lines += f"Content-Length: {len(body)}\r\n"
    path = path.translate(_BAD_IN_HEADS) or "/"
    begin = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    return begin.encode(errors="replace") + body


def chunked(rng: Random, path: str, body: bytes, *headers: tuple[str, str]) -> bytes:
    """Return a request in chunks of odd sizes, with an extension and a trailer."""
    parts = [post(path, b"", *headers, ("Transfer-Encoding", "chunked"))]
    while body:
        size = 1 + rng.randrange(len(body))
        parts.append(b"%x;a=b\r\n%s\r\n" % (size, body[:size]))
        body = body[size:]
    return b"".join(parts) + rng.choice((b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n"))
