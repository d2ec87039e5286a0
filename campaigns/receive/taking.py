"""From a POST to its events: the one reading, by whatever way the request came."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from campaigns.domain.events import SourceRef
from campaigns.ingest.record import Batch
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import Parsed


class KeyRefused(Exception):
    """No valid key: a stable word and a sentence, answered 401."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


class Desk(Protocol):
    """Whom the reading asks. What a method raises ends it."""

    def source(self, key: str) -> SourceRef | None:
        """Return the source of a key, None if there is none."""

    def admit(self, source: SourceRef) -> None:
        """Turn the source's client away, before its body is read, or do nothing."""

    def now(self) -> datetime:
        """Return the time of receipt, aware."""

    def charge(self, source: SourceRef, parsed: Parsed) -> None:
        """Charge the source's client for what it brought, or turn it away."""


def read(call: str, key: str | None, body: Callable[[], bytes], *, desk: Desk) -> Batch:
    """Return what a POST to a path of segment.CALLS brings.

    `key` is that of the header or query, None if neither names one; `body` reads
    and inflates. Raises KeyRefused, BadBody, and what `body` and the desk raise.
    """
    source = None
    if key is not None:
        source = _known(desk.source(key))
        desk.admit(source)
    envelope = segment.open_envelope(call, body())
    if source is None:
        source = _named_within(envelope.write_key, desk)
    parsed = segment.read(envelope, received_at=desk.now())
    desk.charge(source, parsed)
    return Batch(parsed.events, source, parsed.rejected)


def _named_within(key: str | None, desk: Desk) -> SourceRef:
    if key is None:
        raise KeyRefused(
            "missing_key",
            "The request names no write key; send it as the user of Basic "
            'authentication, or as "writeKey" in the body or the query.',
        )
    return _known(desk.source(key))


def _known(source: SourceRef | None) -> SourceRef:
    if source is None:
        raise KeyRefused(
            "unknown_key", "No source has this write key, or it was revoked."
        )
    return source
