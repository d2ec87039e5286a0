"""One item of a Segment call to one event, or the reason why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from campaigns.domain.events import (
    MAX_ID_CHARS,
    MAX_MESSAGE_ID_CHARS,
    MAX_NAME_CHARS,
    EventType,
    IncomingEvent,
)
from campaigns.receive.wire.times import happened_at

# From here on neighbouring integers share one float.
_FIRST_INEXACT: Final = 2.0**53


class Item(msgspec.Struct, rename="camel"):
    """The members that we read; any JSON value may stand in any of them."""

    type: object = None
    event: object = None
    name: object = None
    category: object = None
    user_id: object = None
    anonymous_id: object = None
    previous_id: object = None
    group_id: object = None
    message_id: object = None
    timestamp: object = None
    sent_at: object = None
    traits: object = None
    properties: object = None
    context: object = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item is not taken; `detail` goes on after the name of its place."""

    code: str
    detail: str
    member: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What all items of one request share. `type` None: each item says its own."""

    type: EventType | None
    sent_at: object
    context: Mapping[str, object]
    received_at: datetime
    new_id: Callable[[], str]


class _RefusedError(Exception):
    """Carries a refusal out of the reading of one item."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def to_event(
    item: Item, call: Call, *, notes: tuple[str, ...]
) -> IncomingEvent | Refusal:
    """Return the item (mended JSON) as an event; `notes` are those of mending."""
    message_id = ""
    try:
        message_id = _text(item.message_id, "messageId", limit=MAX_MESSAGE_ID_CHARS)
        return _to_event(item, call, notes=notes, message_id=message_id)
    except _RefusedError as error:
        refusal = error.refusal
        return Refusal(refusal.code, refusal.detail, refusal.member, message_id)


def _to_event(
    item: Item, call: Call, *, notes: tuple[str, ...], message_id: str
) -> IncomingEvent:
    kind = call.type or _type(item.type)
    sent_at = call.sent_at if call.sent_at is not None else item.sent_at
    occurred_at, time_notes = happened_at(item.timestamp, sent_at, call.received_at)
    context = {**call.context, **_mapping(item.context, "context")}
    ids = _ids(item, kind)
    return IncomingEvent(
        message_id=message_id or call.new_id(),
        type=kind,
        name=_name(item, kind),
        user_id=ids["userId"],
        anonymous_id=ids["anonymousId"],
        previous_id=ids["previousId"] if kind is EventType.ALIAS else None,
        group_id=ids["groupId"] if kind is EventType.GROUP else None,
        traits=_traits(item, kind, context),
        properties=_properties(item, kind),
        context=context,
        occurred_at=occurred_at,
        notes=notes + time_notes,
    )


def _refuse(code: str, member: str, detail: str) -> _RefusedError:
    return _RefusedError(Refusal(code, detail, member))


def _type(value: object) -> EventType:
    text = _text(value, "type", limit=MAX_NAME_CHARS).lower()
    if not text:
        raise _refuse("missing_type", "type", 'is missing; say for instance "track"')
    try:
        return EventType(text)
    except ValueError:
        known = ", ".join(EventType)
        raise _refuse("unknown_type", "type", f"is none of {known}") from None


def _text(value: object, member: str, *, limit: int, too_long: str = "id") -> str:
    """Return text or a number as trimmed text; empty if there is none."""
    match value:
        case None:
            return ""
        case bool():
            raise _refuse("wrong_type", member, "must be text, not true or false")
        case str():
            text = value.strip()
        case int():
            text = str(value)
        case float():
            exact = value.is_integer() and abs(value) < _FIRST_INEXACT
            text = str(int(value)) if exact else repr(value)
        case _:
            raise _refuse("wrong_type", member, "must be text or a number")
    if len(text) > limit:
        raise _refuse(
            f"{too_long}_too_long",
            member,
            f"has {len(text)} characters; at most {limit} are taken",
        )
    return text


def _ids(item: Item, kind: EventType) -> dict[str, str | None]:
    found = {
        member: _text(value, member, limit=MAX_ID_CHARS) or None
        for member, value in (
            ("userId", item.user_id),
            ("anonymousId", item.anonymous_id),
            ("previousId", item.previous_id),
            ("groupId", item.group_id),
        )
    }
    if kind is EventType.ALIAS and not (found["userId"] and found["previousId"]):
        raise _refuse(
            "missing_id", "", "is an alias and needs both userId and previousId"
        )
    if not (found["userId"] or found["anonymousId"]):
        raise _refuse("missing_id", "", "has neither userId nor anonymousId")
    if kind is EventType.GROUP and not found["groupId"]:
        raise _refuse("missing_id", "groupId", "is missing, and the call is a group")
    return found


def _name(item: Item, kind: EventType) -> str:
    """Return the event's name; pages and screens get the one Segment gives them."""
    if kind is EventType.TRACK:
        return _track_name(item.event)
    if kind in (EventType.PAGE, EventType.SCREEN):
        shown = _text(item.name, "name", limit=MAX_NAME_CHARS, too_long="name")
        name = " ".join(part for part in ("Viewed", shown, kind.capitalize()) if part)
        return _text(name, "name", limit=MAX_NAME_CHARS, too_long="name")
    return ""


def _track_name(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise _refuse("wrong_type", "event", "must be text")
    name = _text(value, "event", limit=MAX_NAME_CHARS, too_long="name")
    if not name:
        raise _refuse("missing_event", "event", "is missing; a track call names one")
    return name


def _mapping(value: object, member: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise _refuse("wrong_type", member, "must be an object")


def _traits(
    item: Item, kind: EventType, context: Mapping[str, object]
) -> Mapping[str, object]:
    """Return `traits`, else `context.traits` (a group's are always its own)."""
    if item.traits is not None or kind is EventType.GROUP:
        return _mapping(item.traits, "traits")
    said = context.get("traits")
    return said if isinstance(said, dict) else {}


def _properties(item: Item, kind: EventType) -> Mapping[str, object]:
    """Return `properties`; a page's name and category are repeated in them."""
    properties = _mapping(item.properties, "properties")
    if kind not in (EventType.PAGE, EventType.SCREEN):
        return properties
    said = {"name": item.name, "category": item.category}
    return {**{k: v for k, v in said.items() if v is not None}, **properties}
