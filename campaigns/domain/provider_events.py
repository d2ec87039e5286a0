"""SendGrid's webhook items, read into the engine's own delivery events.

Items come in any order, twice, with fields missing or of the wrong type, so
everything is read as `object` and nothing raises. Field names and oddities:
SendGrid's "Event Webhook Reference" and the issues of its client libraries.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeGuard

from campaigns.domain.clean import mend_text
from campaigns.domain.states import SuppressionReason

MESSAGE_ARG: Final = "et_message"
TOKEN_ARG: Final = "et_token"  # noqa: S105 - the name of a field

MAX_ITEMS: Final = 10_000
MAX_REASON_CHARS: Final = 500
MAX_URL_CHARS: Final = 2_000
MAX_ADDRESS_CHARS: Final = 320
MAX_ID_CHARS: Final = 255
MAX_WORD_CHARS: Final = 60
MAX_RAW_CHARS: Final = 2_000
_MAX_INT64: Final = 2**63 - 1
# SendGrid began in 2009; what claims to be older, or of the next century, is
# no time at all.
_EARLIEST: Final = int(datetime(2009, 1, 1, tzinfo=UTC).timestamp())
_LATEST: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


class DeliveryType(StrEnum):
    """What a provider reports about a mail."""

    PROCESSED = "processed"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    BLOCKED = "blocked"  # a bounce that says nothing about the address
    DROPPED = "dropped"  # accepted, then never tried
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    GROUP_UNSUBSCRIBED = "group_unsubscribed"
    GROUP_RESUBSCRIBED = "group_resubscribed"
    UNKNOWN = "unknown"


_TYPES: Final[Mapping[str, DeliveryType]] = {
    "processed": DeliveryType.PROCESSED,
    "delivered": DeliveryType.DELIVERED,
    "deferred": DeliveryType.DEFERRED,
    "bounce": DeliveryType.BOUNCED,
    "blocked": DeliveryType.BLOCKED,
    "dropped": DeliveryType.DROPPED,
    "open": DeliveryType.OPENED,
    "click": DeliveryType.CLICKED,
    "spamreport": DeliveryType.COMPLAINED,
    "unsubscribe": DeliveryType.UNSUBSCRIBED,
    "group_unsubscribe": DeliveryType.GROUP_UNSUBSCRIBED,
    "group_resubscribe": DeliveryType.GROUP_RESUBSCRIBED,
}

_DROPPED_FOR: Final[Mapping[str, SuppressionReason]] = {
    "unsubscribed address": SuppressionReason.UNSUBSCRIBED,
    "bounced address": SuppressionReason.HARD_BOUNCE,
    "spam reporting address": SuppressionReason.COMPLAINT,
    "invalid": SuppressionReason.INVALID,
}
_SUPPRESSES: Final[Mapping[DeliveryType, SuppressionReason]] = {
    DeliveryType.COMPLAINED: SuppressionReason.COMPLAINT,
    DeliveryType.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    DeliveryType.GROUP_UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
}
# Classes of bounces that speak of our own mail, domain or pace.
_OUR_OWN: Final = frozenset(
    {
        "reputation",
        "content",
        "frequency/volume",
        "frequency or volume too high",
    }
)
# An enhanced status code (RFC 3463), not a part of an IP address or a version.
_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One fact about one mail or one address.

    `message_ref` and `token_ref` are our custom arguments, None when missing or
    not ours; `address` and `provider_message_id` are '' when missing. `id_key`
    and `content_key` are 16 bytes; either one seen before makes it a repeat
    (SendGrid changes sg_event_id on some retries). `suppression` is what the
    event alone calls for; whether its message is ours is the caller's question.
    """

    type: DeliveryType
    name: str
    message_ref: str | None
    token_ref: str | None
    provider_message_id: str
    address: str
    occurred_at: datetime
    id_key: bytes | None
    content_key: bytes
    machine_open: bool = False
    url: str = ""
    reason: str = ""
    status: str = ""
    bounce_type: str = ""
    bounce_classification: str = ""
    suppression: SuppressionReason | None = None

    @property
    def without_ids(self) -> bool:
        """Whether it names no mail at all, as delayed bounces do."""
        return self.message_ref is None and not self.provider_message_id


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """An item that says nothing usable: its place, why, and its text (cut)."""

    index: int
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class ProviderBatch:
    """What one webhook body held, in its order."""

    events: tuple[ProviderEvent, ...] = ()
    rejected: tuple[RejectedItem, ...] = ()


def read_batch(body: bytes) -> ProviderBatch:
    """Read one webhook body. What is no JSON array yields one rejected item."""
    try:
        items = json.loads(body)
    except (ValueError, RecursionError) as error:
        shown = body[:MAX_RAW_CHARS].decode("utf-8", "replace")
        reason = f"the body is not JSON: {type(error).__name__}: {_text(str(error))}"
        return ProviderBatch(rejected=(RejectedItem(0, reason[:300], _text(shown)),))
    return normalise(items)


def normalise(items: object) -> ProviderBatch:
    """Read decoded JSON; a lone object counts as an array of one. Never raises."""
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        kind = type(items).__name__
        return ProviderBatch(rejected=(_reject(0, items, f"an array, not {kind}"),))
    events: list[ProviderEvent] = []
    rejected: list[RejectedItem] = []
    for index, item in enumerate(items[:MAX_ITEMS]):
        read = _read(item)
        if isinstance(read, str):
            rejected.append(_reject(index, item, read))
        else:
            events.append(read)
    if len(items) > MAX_ITEMS:
        why = f"at most {MAX_ITEMS} items are read, this body has {len(items)}"
        rejected.append(_reject(MAX_ITEMS, items[MAX_ITEMS], why))
    return ProviderBatch(tuple(events), tuple(rejected))


def _reject(index: int, item: object, why: str) -> RejectedItem:
    try:
        raw = json.dumps(item, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        raw = f"<{type(item).__name__}>"
    return RejectedItem(index, why, _text(raw, MAX_RAW_CHARS))


def _read(item: object) -> ProviderEvent | str:
    """Return the event in `item`, or the sentence that refuses it."""
    if not _is_object(item):
        return f"an item must be an object, not {type(item).__name__}"
    name = _text(item.get("event"), MAX_WORD_CHARS).lower()
    if not name:
        return "`event` is missing or not text"
    seconds = _seconds(item.get("timestamp"))
    if seconds is None:
        return "`timestamp` must be Unix seconds between 2009 and 2100"
    found = _event(item, name, seconds)
    nobody = found.without_ids and not found.address
    if nobody and found.type is not DeliveryType.UNKNOWN:
        return f"`{name}` names neither a mail nor an address"
    return found


def _event(item: Mapping[str, object], name: str, seconds: int) -> ProviderEvent:
    bounce_type = _text(item.get("type"), MAX_WORD_CHARS).lower()
    kind = _TYPES.get(name, DeliveryType.UNKNOWN)
    if kind is DeliveryType.BOUNCED and bounce_type == "blocked":
        kind = DeliveryType.BLOCKED
    reason = _text(item.get("reason") or item.get("response"), MAX_REASON_CHARS)
    status = _text(item.get("status"), MAX_WORD_CHARS)
    class_ = _text(item.get("bounce_classification"), MAX_WORD_CHARS)
    message_id = _text(item.get("sg_message_id"), MAX_ID_CHARS).split(".")[0]
    return ProviderEvent(
        type=kind,
        name=name,
        message_ref=_reference(item.get(MESSAGE_ARG)),
        token_ref=_text(item.get(TOKEN_ARG), MAX_ID_CHARS) or None,
        provider_message_id=message_id,
        address=_text(item.get("email"), MAX_ADDRESS_CHARS),
        occurred_at=datetime.fromtimestamp(seconds, tz=UTC),
        id_key=_id_key(item.get("sg_event_id")),
        content_key=_content_key(item, name, seconds),
        machine_open=kind is DeliveryType.OPENED and _true(item.get("sg_machine_open")),
        url=_text(item.get("url"), MAX_URL_CHARS),
        reason=reason,
        status=status,
        bounce_type=bounce_type if name == "bounce" else "",
        bounce_classification=class_,
        suppression=_suppression(kind, reason=reason, status=status, class_=class_),
    )


def _suppression(
    kind: DeliveryType, *, reason: str, status: str, class_: str
) -> SuppressionReason | None:
    """Say what the event calls for by itself.

    Blocked and deferred mail says nothing lasting about an address, nor does a
    bounce that blames our own domain, reputation, content or pace.
    """
    if kind is DeliveryType.DROPPED:
        return _DROPPED_FOR.get(reason.strip().rstrip(".").lower())
    if kind is DeliveryType.BOUNCED:
        ours = class_.lower() in _OUR_OWN or _speaks_of_policy_or_time(status, reason)
        return None if ours else SuppressionReason.HARD_BOUNCE
    return _SUPPRESSES.get(kind)


def _speaks_of_policy_or_time(status: str, reason: str) -> bool:
    """Whether the code is x.7.x (security, policy, sign-in) or 4.x.x (for now).

    Gmail's 5.7.26 and Microsoft's 5.7.515 refuse the sending domain, whoever
    the recipient is. The status field decides; without it, the text's code.
    """
    found = _ENHANCED.search(status) or _ENHANCED.search(reason)
    return found is not None and (found[2] == "7" or found[1] == "4")


def _id_key(value: object) -> bytes | None:
    # Hashed, because ids of more than 100 characters were seen.
    text = value if isinstance(value, str) else ""
    return _digest(["id", text]) if text.strip() else None


def _content_key(item: Mapping[str, object], name: str, seconds: int) -> bytes:
    """Hash what stays the same when SendGrid repeats an event under another id."""
    return _digest(
        [
            "content",
            _reference(item.get(MESSAGE_ARG)),
            _plain(item.get("sg_message_id")),
            name,
            seconds,
            _plain(item.get("url")),
            _plain(item.get("url_offset")),
            _plain(item.get("email")).lower(),
        ]
    )


def _plain(value: object) -> str:
    """Return one text for one JSON value, whatever it is."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json.dumps(value, sort_keys=True, default=str)
    except (ValueError, TypeError, RecursionError):
        return f"<{type(value).__name__}>"


def _digest(parts: list[object]) -> bytes:
    packed = json.dumps(parts).encode("ascii")
    return hashlib.blake2b(packed, digest_size=16).digest()


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _text(value: object, limit: int = MAX_RAW_CHARS) -> str:
    """Return trimmed text fit for PostgreSQL, or '' for what is no text."""
    if not isinstance(value, str):
        return ""
    return mend_text(value[: limit * 2].strip())[:limit]


def _reference(value: object) -> str | None:
    """Return a message's number as text, or None for what cannot be ours."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value <= _MAX_INT64 else None
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        return None
    if len(value) > len(str(_MAX_INT64)) or not 0 < int(value) <= _MAX_INT64:
        return None
    return str(int(value))


def _seconds(value: object) -> int | None:
    """Return Unix seconds from a number or its text, None for what is no time."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= MAX_WORD_CHARS else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN fails both comparisons.
    return int(value) if _EARLIEST <= value < _LATEST else None


def _true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
