"""Read a request's body within bounds, whatever its length header or coding says."""

import zlib
from typing import Final, Protocol

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from campaigns.receive.wire.base import BadBody

_GZIP_WINDOW: Final = 31
_CHUNK_BYTES: Final = 64 * 1024


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_body(request: HttpRequest, *, limit: int) -> bytes:
    """Return the body, inflated if it is gzip, of at most `limit` bytes.

    A longer Content-Length is refused before anything is read; a gzip bomb
    after `limit` bytes of output. Raises BadBody.
    """
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise BadBody(
            "unknown_encoding",
            f"Content-Encoding {coding[:40]!r} is not known; send gzip or none.",
        )
    raw = _read_raw(request, limit=limit)
    return _inflate(raw, limit=limit) if coding.endswith("gzip") else raw


def _read_raw(request: HttpRequest, *, limit: int) -> bytes:
    length = _content_length(request)
    if length is not None and length > limit:
        raise _too_large(limit)
    stream = _stream(request, length)
    parts: list[bytes] = []
    left = limit + 1 if length is None else length
    try:
        while left > 0 and (part := stream.read(min(left, _CHUNK_BYTES))):
            parts.append(part)
            left -= len(part)
    except (UnreadablePostError, OSError):
        raise BadBody(
            "incomplete_body", "The connection broke within the body; send it again."
        ) from None
    body = b"".join(parts)
    if len(body) > limit:
        raise _too_large(limit)
    if length is not None and len(body) < length:
        raise BadBody(
            "incomplete_body",
            f"The body ended after {len(body)} of {length} announced bytes.",
        )
    return body


def _content_length(request: HttpRequest) -> int | None:
    text = request.META.get("CONTENT_LENGTH") or ""
    if not text:
        return None if _is_chunked(request) else 0
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise BadBody("bad_length", "Content-Length is not a number of bytes.")
    return int(text)


def _is_chunked(request: HttpRequest) -> bool:
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def _stream(request: HttpRequest, length: int | None) -> _Readable:
    """Return where to read from: Django's own stream is empty without a length."""
    source = request.META.get("wsgi.input")
    return request if length is not None or source is None else source


def _inflate(raw: bytes, *, limit: int) -> bytes:
    """Return the gzip members of `raw`, inflated step by step."""
    parts: list[bytes] = []
    size = 0
    while raw:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(raw, limit + 1 - size)
        except zlib.error:
            raise BadBody(
                "bad_gzip", "Content-Encoding says gzip, but the body is not gzip."
            ) from None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not member.eof:
            raise BadBody("bad_gzip", "The gzip body ends too early.")
        raw = member.unused_data
    return b"".join(parts)


def _too_large(limit: int) -> BadBody:
    return BadBody(
        "body_too_large",
        f"The body has more than {limit} bytes (inflated); send smaller batches.",
    )
