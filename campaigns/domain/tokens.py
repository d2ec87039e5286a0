"""Unsubscribe tokens: opaque, signed, without an end, good for one person and list."""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_VERSION: Final = 1
_IDS = struct.Struct(">BQQQ")
_MAC_BYTES: Final = 16
_MAX_HASH_BYTES: Final = 32
_MAX_TOKEN_CHARS: Final = 200
_PURPOSE: Final = b"emailtriggers unsubscribe token\0"


@dataclass(frozen=True, slots=True)
class UnsubscribeToken:
    """Who asks to be left alone, by which mail, and from what.

    `topic_id` None means everything that is not transactional. `address_hash`
    stands for the address that was mailed, so that a request reaches it even
    after the customer changed it.
    """

    message_id: int
    customer_id: int
    topic_id: int | None
    address_hash: bytes


def make_unsubscribe_token(
    message_id: int,
    customer_id: int,
    topic_id: int | None,
    address_hash: bytes,
    *,
    key: bytes,
) -> str:
    """Return a URL-safe token of about 80 characters that never expires.

    Ids are 1 to 2**64 - 1, the hash at most 32 bytes, the key not empty;
    ValueError otherwise.
    """
    if not key:
        raise ValueError("an unsubscribe token needs a key that is not empty")
    if topic_id is not None and topic_id < 1:
        raise ValueError(f"a topic's id is at least 1, not {topic_id}")
    if len(address_hash) > _MAX_HASH_BYTES:
        raise ValueError(f"an address hash has at most {_MAX_HASH_BYTES} bytes")
    try:
        ids = _IDS.pack(_VERSION, message_id, customer_id, topic_id or 0)
    except struct.error as error:
        raise ValueError(f"an id does not fit a token: {error}") from error
    body = ids + address_hash
    return _encode(body + _mac(body, key))


def read_unsubscribe_token(
    token: str, *, keys: Sequence[bytes]
) -> UnsubscribeToken | None:
    """Return what the token says if one of `keys` (new or old) signed it, else None."""
    raw = _decode(token)
    if raw is None or len(raw) < _IDS.size + _MAC_BYTES:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    # Every key is tried, so that the time says nothing about which one fits.
    fits = [hmac.compare_digest(mac, _mac(body, key)) for key in keys if key]
    if not any(fits):
        return None
    version, message_id, customer_id, topic_id = _IDS.unpack_from(body)
    if version != _VERSION:
        return None
    return UnsubscribeToken(
        message_id=message_id,
        customer_id=customer_id,
        topic_id=topic_id or None,
        address_hash=body[_IDS.size :],
    )


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + body, hashlib.sha256)[:_MAC_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes | None:
    """Return the bytes if `token` is their one and only spelling."""
    if len(token) > _MAX_TOKEN_CHARS or not token.isascii():
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if _encode(raw) == token else None
