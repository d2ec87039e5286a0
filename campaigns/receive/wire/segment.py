"""The Segment HTTP API: the bytes of a request to events in our own form.

Facts: segmentio/segment-docs, "HTTP Tracking API"; the SDKs' own traffic is in
tests/fixtures/wire. `integrations` and `_metadata` steer Segment's own
destinations and are not kept.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from campaigns.domain.clean import (
    Unfit,
    looks_clean,
    mark_lone_surrogates,
    mend,
    mend_text,
)
from campaigns.domain.events import (
    MAX_MESSAGE_ID_CHARS,
    MAX_REJECTED_CHARS,
    EventType,
    IncomingEvent,
    RejectedInput,
)
from campaigns.receive.wire.base import BadBody, Parsed
from campaigns.receive.wire.segment_event import Call, Item, Refusal, to_event

MAX_BODY_BYTES: Final = 500 * 1024
MAX_EVENT_BYTES: Final = 32 * 1024
MAX_EVENTS: Final = 2_500
# A batch's context is stored with each of its events: this bounds the product.
MAX_SHARED_BYTES: Final = 4 * 1024 * 1024
_SHOWN_OF_REFUSED_BATCH: Final = 1_000
_MIN_KEY_CHARS: Final = 8

# The last part of the path; None means that each item names its own type.
CALLS: Final[Mapping[str, EventType | None]] = MappingProxyType(
    {
        **{str(kind): kind for kind in EventType},
        "t": EventType.TRACK,
        "i": EventType.IDENTIFY,
        "p": EventType.PAGE,
        "s": EventType.SCREEN,
        "a": EventType.ALIAS,
        "g": EventType.GROUP,
        "batch": None,
        "b": None,
        "import": None,
    }
)

T = TypeVar("T")
_ABSENT: Final = msgspec.Raw(b"null")


class _Outer(msgspec.Struct, rename="camel"):
    """What a body says about the request; parts stay bytes until looked at."""

    batch: msgspec.Raw = msgspec.Raw(b"")
    context: msgspec.Raw = _ABSENT
    sent_at: msgspec.Raw = _ABSENT
    write_key: msgspec.Raw = _ABSENT


# Made while one thread imports: a thread that comes while another's first use of a
# type is still learning it would crash the process (tests/unit/test_first_use.py).
_OUTER: Final = msgspec.json.Decoder(_Outer)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder(Item)
_SCALAR: Final[msgspec.json.Decoder[object]] = msgspec.json.Decoder(
    str | int | float | None
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body whose outer form is right; its events are not looked at yet.

    `type` is None for a batch. `write_key` is the key that the body names.
    """

    type: EventType | None
    items: tuple[bytes, ...]
    write_key: str | None = None
    sent_at: object = None
    context: Mapping[str, object] = field(default_factory=dict)
    context_bytes: int = 0
    notes: tuple[str, ...] = ()


def open_envelope(call: str, body: bytes) -> Envelope:
    """Check the outer form of a request's (inflated) body.

    `call` is a key of CALLS. Raises BadBody for what the API answers with 400:
    not JSON, not UTF-8, over MAX_BODY_BYTES, not an object.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadBody(
            "body_too_large",
            f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken. "
            "Send smaller batches.",
        )
    text = _checked_text(body)
    outer = _decode(text, _OUTER, what="The body")
    kind = CALLS[call]
    return _batch(outer) if kind is None else _single(kind, text, outer)


def read(
    envelope: Envelope,
    *,
    received_at: datetime,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Parsed:
    """Turn each item of the envelope into an event or a rejection.

    `received_at` is aware; `new_id` names events that came without an id.
    """
    if len(envelope.items) > MAX_EVENTS:
        return Parsed((), (_too_many(envelope),))
    call = Call(
        type=envelope.type,
        sent_at=envelope.sent_at,
        context=envelope.context,
        received_at=received_at,
        new_id=new_id,
    )
    events: list[IncomingEvent] = []
    rejected: list[RejectedInput] = []
    for index, raw in enumerate(envelope.items):
        result = _read_item(raw, envelope, call)
        if isinstance(result, IncomingEvent):
            events.append(result)
        else:
            where = "" if envelope.type else f"batch[{index}]"
            rejected.append(_rejected(result, raw, envelope, where=where))
    return Parsed(tuple(events), tuple(rejected))


def parse(call: str, body: bytes, *, received_at: datetime) -> Parsed:
    """Parse a whole body at once: `open_envelope`, then `read`."""
    return read(open_envelope(call, body), received_at=received_at)


def _checked_text(body: bytes) -> bytes:
    text = body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    if not text:
        raise BadBody("empty_body", "The body is empty; send a JSON object.")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise BadBody(
            "malformed_json", f"The body is not UTF-8: byte {error.start} is odd."
        ) from None
    return mark_lone_surrogates(text)


def _decode(text: bytes, decoder: msgspec.json.Decoder[T], *, what: str) -> T:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise BadBody("too_deep", f"{what} is nested too deeply; flatten it.") from None
    except msgspec.ValidationError as error:
        raise BadBody("wrong_type", f"{what} has the wrong form: {error}.") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        if "truncated" in reason:
            reason = f"it ends too early, after byte {len(text)}"
        raise BadBody(
            "malformed_json", f"{what} is not valid JSON: {reason}."
        ) from None


def _single(kind: EventType, text: bytes, outer: _Outer) -> Envelope:
    return Envelope(
        type=kind,
        items=(text,),
        write_key=_key(outer),
        sent_at=_scalar(outer.sent_at),
    )


def _batch(outer: _Outer) -> Envelope:
    batch = bytes(outer.batch)
    if not batch:
        raise BadBody(
            "missing_batch", 'The body has no "batch"; send {"batch": [...]}.'
        )
    items = _decode(batch, _ITEMS, what='"batch"')
    shared = bytes(outer.context)
    if len(shared) * len(items) > MAX_SHARED_BYTES:
        raise BadBody(
            "context_too_large",
            f'"context" has {len(shared)} bytes and would be kept with each of '
            f"{len(items)} events; send less of it, or smaller batches.",
        )
    context, notes = _shared_context(shared)
    return Envelope(
        type=None,
        items=tuple(bytes(item) for item in items),
        write_key=_key(outer),
        sent_at=_scalar(outer.sent_at),
        context=context,
        context_bytes=len(shared) if context else 0,
        notes=notes,
    )


def _shared_context(raw: bytes) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """Return a batch's own context, mended; what cannot be used is left out."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return {}, ("shared-context-dropped",)
    mended = mend(value)
    if isinstance(mended, Unfit) or not isinstance(mended.value, Mapping):
        return {}, ("shared-context-dropped",) if value is not None else ()
    return mended.value, mended.notes


def _scalar(raw: msgspec.Raw) -> object:
    """Return a value of the outer form, or None if it is odd."""
    try:
        return _SCALAR.decode(raw)
    except msgspec.MsgspecError:
        return None


def _key(outer: _Outer) -> str | None:
    key = _scalar(outer.write_key)
    return key.strip() or None if isinstance(key, str) else None


def _read_item(raw: bytes, envelope: Envelope, call: Call) -> IncomingEvent | Refusal:
    size = len(raw) + envelope.context_bytes
    if size > MAX_EVENT_BYTES:
        return Refusal(
            "event_too_large",
            f"has {size} bytes; at most {MAX_EVENT_BYTES} are taken",
        )
    item = _decode_item(raw)
    if isinstance(item, Refusal):
        return item
    notes = envelope.notes
    if not looks_clean(raw):
        mended = mend(msgspec.structs.asdict(item))
        if isinstance(mended, Unfit):
            return Refusal(mended.code, mended.detail)
        item = Item(**mended.value)  # type: ignore[arg-type]
        notes = tuple(dict.fromkeys((*notes, *mended.notes)))
    return to_event(item, call, notes=notes)


def _decode_item(raw: bytes) -> Item | Refusal:
    try:
        return _ITEM.decode(raw)
    except RecursionError:
        return Refusal("too_deep", "is nested too deeply; flatten it")
    except msgspec.ValidationError as error:
        if "out of range" in str(error):
            return Refusal(
                "number_out_of_range",
                f"holds a number too large to keep ({error}); send it as text",
            )
        return Refusal("not_an_object", "is not a JSON object")
    except msgspec.DecodeError as error:
        return Refusal("malformed_json", f"is not valid JSON: {error}")


def _rejected(
    refusal: Refusal, raw: bytes, envelope: Envelope, *, where: str
) -> RejectedInput:
    parts = [part for part in (where, refusal.member) if part]
    path = ".".join(parts)
    return RejectedInput(
        code=refusal.code,
        detail=mend_text(f"{path or 'The event'} {refusal.detail}."),
        path=path,
        message_id=refusal.message_id[:MAX_MESSAGE_ID_CHARS],
        body=_shown(raw, envelope.write_key),
    )


def _too_many(envelope: Envelope) -> RejectedInput:
    first = _shown(envelope.items[0], envelope.write_key)
    return RejectedInput(
        code="too_many_events",
        detail=f"batch has {len(envelope.items)} events; at most {MAX_EVENTS} are "
        "taken, so none of them was. Send smaller batches.",
        path="batch",
        body=first[:_SHOWN_OF_REFUSED_BATCH],
    )


def _shown(raw: bytes, write_key: str | None) -> str:
    """Return the raw event for people: bounded, storable, without the key."""
    text = mend_text(raw.decode(errors="replace"))
    if write_key and len(write_key) >= _MIN_KEY_CHARS:
        text = text.replace(write_key, "***")
    return text[:MAX_REJECTED_CHARS]
