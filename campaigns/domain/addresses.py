"""E-mail addresses and header text: one form of each, and what is refused."""

import hashlib
import hmac
import re
import unicodedata
from typing import Final

import idna

MAX_LOCAL: Final = 64
MAX_ADDRESS: Final = 254
MAX_LABEL: Final = 63
HASH_BYTES: Final = 16

_LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_BREAKS: Final = re.compile(r"[\r\n\t\v\f\x85\u2028\u2029]+")


class AddressInvalid(ValueError):
    """The text is not one deliverable address; the message says why."""


def normalise(address: str) -> str:
    """Return the form under which an address is compared, counted and suppressed.

    Trimmed, lower case, the domain in its ASCII form. Nothing is guessed about
    dots or plus signs. Never raises: what is no address stays as it is, in
    lower case.
    """
    text = unicodedata.normalize("NFC", address.strip().lower()).strip()
    local, at, domain = text.rpartition("@")
    if not at:
        return text
    ascii_domain = _ascii_domain(domain)
    return f"{local}@{domain if ascii_domain is None else ascii_domain}"


def validate(address: str) -> str:
    """Return the normalised address; raise AddressInvalid unless mail can go to it."""
    if len(address) > 4 * MAX_ADDRESS:
        raise AddressInvalid(f"is longer than {MAX_ADDRESS} characters")
    text = address.strip(" ")
    _check_characters(text)
    if text.count("@") != 1:
        raise AddressInvalid("must have exactly one @")
    local, _, domain = text.partition("@")
    _check_local(local)
    _check_domain(_ascii_domain(domain.lower()))
    found = normalise(text)
    if len(found) > MAX_ADDRESS:
        raise AddressInvalid(f"is longer than {MAX_ADDRESS} characters")
    return found


def clean_header(text: str) -> str:
    """Return text that is safe in a header: one line, no control characters."""
    if text.isprintable():  # no breaks, no control characters
        return text.strip()
    one_line = _BREAKS.sub(" ", text)
    kept = (c for c in one_line if unicodedata.category(c) not in {"Cc", "Cs"})
    return "".join(kept).strip()


def check_display_name(name: str) -> str:
    """Return a name for a From or To header, trimmed.

    Raises AddressInvalid for a line break or another control character, which
    could start a header of its own.
    """
    if any(
        unicodedata.category(c) in {"Cc", "Cs"} or c in "\u2028\u2029" for c in name
    ):
        raise AddressInvalid("a name must not hold line breaks or control characters")
    return name.strip()


def keyed_hash(address: str, key: bytes) -> bytes:
    """Return what stands for an address once it may not be kept: 16 bytes.

    HMAC-SHA256 of the normalised form, so nobody without the key can try
    addresses against it.
    """
    form = normalise(address).encode("utf-8", "surrogatepass")
    return hmac.digest(key, form, hashlib.sha256)[:HASH_BYTES]


def _check_characters(text: str) -> None:
    if not text:
        raise AddressInvalid("is empty")
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise AddressInvalid("holds a line break or another control character")
        if character.isspace():
            raise AddressInvalid("holds a space")
        if character in ',;<>()[]:"\\':
            raise AddressInvalid(f"holds {character}: give one bare address")


def _check_local(local: str) -> None:
    if not local:
        raise AddressInvalid("has nothing before the @")
    if len(local) > MAX_LOCAL:
        raise AddressInvalid(f"has more than {MAX_LOCAL} characters before the @")
    if not local.isascii():
        raise AddressInvalid("has a letter before the @ that few mail servers take")
    if not _LOCAL.fullmatch(local):
        raise AddressInvalid("has a character before the @ that is not allowed")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressInvalid("has a dot at a wrong place before the @")


def _check_domain(domain: str | None) -> None:
    if not domain:
        raise AddressInvalid("has no valid domain after the @")
    labels = domain.split(".")
    if len(labels) < 2:
        raise AddressInvalid("has a domain without a dot")
    if not all(map(_is_label, labels)):
        raise AddressInvalid("has no valid domain after the @")
    if labels[-1].isdigit():
        raise AddressInvalid("has a number where the domain's ending should be")


def _is_label(label: str) -> bool:
    return 0 < len(label) <= MAX_LABEL and _LABEL.fullmatch(label) is not None


def _ascii_domain(domain: str) -> str | None:
    """Return the domain in ASCII, or None if it has no such form."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return None
