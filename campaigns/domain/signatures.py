"""The signature of SendGrid's event webhook: ECDSA P-256 with SHA-256.

The signed bytes are the timestamp header followed by the body exactly as it
came, line ends included; parsing the JSON and writing it again breaks them.
Source: docs.sendgrid.com, "Event Webhook Security Features".
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

MAX_SIGNATURE_CHARS: Final = 200  # a DER signature on P-256 has at most 72 bytes
MAX_KEY_CHARS: Final = 1_000
MAX_TIMESTAMP_DIGITS: Final = 12
CLOCK_TOLERANCE: Final = timedelta(minutes=10)
_ARMOUR: Final = re.compile("-----[A-Z ]+-----")  # the first and last line of PEM
_WHERE: Final = (
    "copy the verification key from SendGrid: Settings, Mail Settings, Event Webhook"
)
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


class Verdict(StrEnum):
    """Whether a body may be believed. Everything but OK must be refused."""

    OK = "ok"
    NO_SIGNATURE = "no_signature"  # a header is missing
    BAD_TIMESTAMP = "bad_timestamp"  # not a number of seconds, or in the future
    BAD_KEY = "bad_key"  # no usable public key is configured
    BAD_SIGNATURE = "bad_signature"  # no key fits
    STALE = "stale"  # truly signed, but too long ago: a replay


class KeyInvalid(ValueError):
    """The text is not a public key that SendGrid could have shown."""


@lru_cache(maxsize=64)
def parse_key(text: str) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key in `text`: base64 DER, PEM lines allowed.

    Raises KeyInvalid, whose message says what to paste instead.
    """
    packed = "".join(_ARMOUR.sub("", text).split())
    if not packed or len(packed) > MAX_KEY_CHARS:
        raise KeyInvalid(f"the key has {len(packed)} characters; {_WHERE}")
    try:
        key = load_der_public_key(base64.b64decode(packed, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyInvalid(
            f"the key is not base64 of a DER public key; {_WHERE}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1
    ):
        raise KeyInvalid(f"the key is not an ECDSA key on the curve P-256; {_WHERE}")
    return key


def verify_sendgrid(
    body: bytes,
    *,
    signature: str,
    timestamp: str,
    keys: Sequence[str],
    now: datetime,
    max_age: timedelta,
) -> Verdict:
    """Say whether one of `keys` signed `body` at `timestamp`, not before now - max_age.

    `signature` is base64 DER, `timestamp` Unix seconds in ASCII digits: the two
    headers, '' when missing. Never raises; whatever is odd is refused.
    """
    if not signature or not timestamp:
        return Verdict.NO_SIGNATURE
    signed_at = _signed_at(timestamp)
    if signed_at is None or signed_at - now > CLOCK_TOLERANCE:
        return Verdict.BAD_TIMESTAMP
    parsed = usable(keys)
    if not parsed:
        return Verdict.BAD_KEY
    der = _canonical_base64(signature)
    payload = timestamp.encode("ascii") + body
    if der is None or not any(_fits(key, der, payload) for key in parsed):
        return Verdict.BAD_SIGNATURE
    # Only now: "stale" is said of what SendGrid truly signed, "bad" of forgeries.
    return Verdict.STALE if now - signed_at > max_age else Verdict.OK


def _signed_at(timestamp: str) -> datetime | None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        return None
    if len(timestamp) > MAX_TIMESTAMP_DIGITS:
        return None
    try:
        return datetime.fromtimestamp(int(timestamp), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def usable(keys: Sequence[str]) -> list[ec.EllipticCurvePublicKey]:
    """Return those of the keys that a signature can be checked with."""
    parsed: list[ec.EllipticCurvePublicKey] = []
    for text in keys:
        try:
            parsed.append(parse_key(text))
        except KeyInvalid:
            continue  # one spoilt key must not shut out the good ones
    return parsed


def _canonical_base64(text: str) -> bytes | None:
    """Decode strictly: one text for one signature, so that no bit is without effect."""
    if len(text) > MAX_SIGNATURE_CHARS or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


def _fits(key: ec.EllipticCurvePublicKey, der: bytes, payload: bytes) -> bool:
    try:
        key.verify(der, payload, _ALGORITHM)
    except InvalidSignature:
        return False
    return True
