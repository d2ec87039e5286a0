"""Requests to the event API, each with who is to answer it: the loop, or Django."""

import base64
import gzip
import json
from typing import NamedTuple

KEY = "write-key-of-the-shop"
PUBLIC_KEY = "write-key-of-pages"


class Row(NamedTuple):
    """A request. Headers are (name, value) in order; `length` is what it says."""

    body: bytes
    in_loop: bool
    path: str = "/v1/track"
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    length: str | None = None


def login(key=KEY, scheme="Basic"):
    pair = base64.b64encode(f"{key}:".encode()).decode()
    return ("Authorization", f"{scheme} {pair}")


def track(**members):
    return {"type": "track", "userId": "u1", "event": "Signed Up", **members}


def row(
    body, *headers, in_loop=True, host="localhost", kind="application/json", **rest
):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name for name, _ in headers}
    if "Authorization" not in given:
        headers = (login(), *headers)
    if kind is not None:
        headers = (("Content-Type", kind), *headers)
    return Row(data, in_loop, headers=(("Host", host), *headers), **rest)


def batch(*items, **members):
    return {"batch": items, **members}


NO_KEY = ("Authorization", "")
GZIP = ("Content-Encoding", "gzip")
ORIGIN = ("Origin", "https://shop.example.com")
HOSTILE = (
    rb'{"userId":"a\u0000b","event":"e\ud800","messageId":"m",'
    rb'"properties":{"k\u0000":"v\udfff","n":99999999999999999999999999}}'
)

ROWS = {
    "track": row(track(messageId="m1", properties={"plan": "pro"})),
    "again": row(track(messageId="m1")),
    "without-id": row(track()),
    "slash": row(track(), path="/v1/track/"),
    "short-path": row(track(), path="/v1/t"),
    **{
        call: row(body, path=f"/v1/{call}")
        for call, body in {
            "identify": {"userId": "u1", "traits": {"email": "ada@example.com"}},
            "page": {"anonymousId": "a1", "name": "Pricing"},
            "screen": {"anonymousId": "a1"},
            "alias": {"previousId": "a1", "userId": "u1"},
            "group": {"userId": "u1", "groupId": "g1"},
            "batch": batch(track(messageId="b1"), track(messageId="b1")),
            "import": batch(track(), context={"locale": "en-GB"}),
        }.items()
    },
    "hostile-text": row(HOSTILE),
    "times": row(track(timestamp="2026-01-05T09:30:00+01:00", sentAt="no time")),
    "a-bad-event": row(track(event=None, messageId="m2")),
    "bad-events-in-a-batch": row(
        batch(track(), track(event=None), 5), path="/v1/batch"
    ),
    "many-bad-events": row(batch(*[{}] * 30), path="/v1/batch"),
    "too-many-events": row(batch(*[{}] * 2501), path="/v1/batch"),
    "an-event-too-large": row(track(properties={"x": "y" * 33_000})),
    "a-big-batch": row(batch(*[track()] * 60), path="/v1/batch", in_loop=False),
    "an-empty-batch": row(batch(), path="/v1/batch", in_loop=False),
    "a-body-beyond-the-loops": row(
        batch(*[track(properties={"x": "y" * 9000})] * 9),
        path="/v1/batch",
        in_loop=False,
    ),
    # Keys
    "key-in-the-body": row(track(writeKey=KEY), NO_KEY),
    "bearer-and-key-in-the-body": row(
        track(writeKey=KEY), ("Authorization", "Bearer token")
    ),
    "lower-case-basic": row(track(), login(scheme="basic")),
    "key-in-the-query": row(
        track(), NO_KEY, path=f"/v1/track?writeKey={KEY}", in_loop=False
    ),
    "no-key": row(track(), NO_KEY, in_loop=False),
    "unknown-key": row(track(), login("wrong"), in_loop=False),
    "empty-key": row(track(), login(""), in_loop=False),
    "broken-basic": row(track(), ("Authorization", "Basic ###"), in_loop=False),
    "no-text-in-basic": row(track(), ("Authorization", "Basic /w=="), in_loop=False),
    "unknown-key-in-the-body": row(track(writeKey="no"), NO_KEY, in_loop=False),
    "public-key": row(track(), login(PUBLIC_KEY), in_loop=False),
    "public-key-in-the-body": row(track(writeKey=PUBLIC_KEY), NO_KEY, in_loop=False),
    # Bodies
    "broken-json": row(b"{", in_loop=False),
    "no-utf-8": row(b'{"userId": "\xff"}', in_loop=False),
    "no-object": row(b"[]", in_loop=False),
    "no-batch": row(b"{}", path="/v1/batch", in_loop=False),
    "empty-body": row(b"", in_loop=False),
    "deep": row(b'{"a":' + b"[" * 60_000, in_loop=False),
    "too-large": row(b"x" * 512_001, in_loop=False),
    "byte-order-mark": row(b"\xef\xbb\xbf" + json.dumps(track()).encode()),
    "gzip": row(gzip.compress(json.dumps(track()).encode()), GZIP, in_loop=False),
    "no-gzip": row(track(), GZIP, in_loop=False),
    "bomb": row(gzip.compress(b"0" * 50_000_000), GZIP, in_loop=False),
    "brotli": row(track(), ("Content-Encoding", "br"), in_loop=False),
    # Heads
    **{
        f"type-{name}": row(track(), kind=kind, in_loop=in_loop)
        for name, kind, in_loop in (
            ("none", None, True),
            ("charset", "application/json; charset=UTF-8", True),
            ("text", "text/plain", True),
            ("bytes", "application/octet-stream", False),
            ("form", "application/x-www-form-urlencoded", False),
            ("utf-16", "application/json; charset=utf-16", False),
        )
    },
    "origin": row(track(), ORIGIN, in_loop=False),
    "origin-and-unknown-key": row(track(), login("wrong"), ORIGIN, in_loop=False),
    "cookies": row(track(), ("Cookie", "sessionid=abcdefgh"), in_loop=False),
    "an-old-cookie": row(track(), ("Cookie", "sessionid="), in_loop=False),
    "unknown-host": row(track(), host="evil.example", in_loop=False),
    "no-host": row(track(), host="", in_loop=False),
    "broken-host": row(track(), host="[::1", in_loop=False),
    "host-with-port": row(track(), host="localhost:8000"),
    "host-in-capitals": row(track(), host="LocalHost."),
    "forwarded-host": row(track(), ("X-Forwarded-Host", "evil.example")),
    "https": row(track(), ("X-Forwarded-Proto", "https")),
    "http": row(track(), ("X-Forwarded-Proto", "http")),
    "odd-proto": row(track(), ("X-Forwarded-Proto", "https, http"), in_loop=False),
    "query": row(track(), path="/v1/track?a=1", in_loop=False),
    "user-agent": row(track(), ("User-Agent", "x" * 300), ("Accept-Language", "de")),
    "two-keys": row(track(), login(), login("wrong"), in_loop=False),
    "two-types": row(track(), ("Content-Type", "text/plain"), in_loop=False),
    # Other calls
    "unknown-call": row(track(), path="/v1/tracks", in_loop=False),
    "capitals": row(track(), path="/v1/TRACK", in_loop=False),
    "metrics": row({"series": []}, path="/v1/m", in_loop=False),
    "deeper": row(track(), path="/v1/track/x", in_loop=False),
    "get": row(b"", method="GET", in_loop=False),
    "head": row(b"", method="HEAD", in_loop=False),
    "put": row(track(), method="PUT", in_loop=False),
    "delete": row(b"", method="DELETE", in_loop=False),
    "preflight": row(
        b"", ORIGIN, ("Access-Control-Request-Method", "POST"),
        method="OPTIONS", in_loop=False,
    ),
}  # fmt: skip
