"""Mend JSON that PostgreSQL would refuse, and refuse what cannot be mended.

PostgreSQL's jsonb takes neither NUL nor lone surrogates; both become U+FFFD
and are noted, so that one odd character never costs an event.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_DEPTH: Final = 32
MAX_KEYS: Final = 1_000
MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**64 - 1

NUL_REPLACED: Final = "nul-replaced"
SURROGATE_REPLACED: Final = "surrogate-replaced"
NUMBER_AS_TEXT: Final = "number-as-text"

REPLACEMENT: Final = "\ufffd"

# Strict parsers refuse a whole body for one lone surrogate escape. It is first
# turned into this noncharacter, which Unicode reserves for internal use.
_MARK_ESCAPE: Final = rb"\ufdd0"

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_ODD_TEXT = re.compile("[\\x00\ud800-\udfff\ufdd0]")
_ODD_BYTES = re.compile(rb"\\u0000|\\u[fF][dD][dD]0|\xef\xb7\x90|[0-9]{19}")


@dataclass(frozen=True, slots=True)
class Unfit:
    """JSON that no mending makes storable: a stable word and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Mended:
    """JSON that can be stored, and what was changed to make it so."""

    value: object
    notes: tuple[str, ...] = ()


def mark_lone_surrogates(body: bytes) -> bytes:
    """Return JSON text whose lone surrogate escapes are marked for `mend`.

    The length does not change, so that error positions stay true. Escaped
    pairs and escaped backslashes are left as they are.
    """
    if not _SURROGATE_ESCAPE.search(body):
        return body
    return _ESCAPES.sub(lambda m: _MARK_ESCAPE if m["lone"] else m[0], body)


def looks_clean(body: bytes) -> bool:
    """Say if JSON text surely needs no `mend`; a cheap look at its bytes.

    False only means that `mend` has to walk the parsed value.
    """
    return (
        body.count(b"{") + body.count(b"[") <= MAX_DEPTH
        and body.count(b":") <= MAX_KEYS
        and not _ODD_BYTES.search(body)
    )


def mend(value: object) -> Mended | Unfit:
    """Return `value` (parsed JSON) with every string and key mended, deeply.

    Integers beyond 64 bits become text. Unfit: deeper than MAX_DEPTH levels,
    more than MAX_KEYS keys in all, or a number that is not finite.
    """
    walk = _Walk()
    try:
        mended = walk.any(value, depth=1)
    except _StopError as stop:
        return Unfit(stop.code, stop.detail)
    return Mended(mended, tuple(sorted(walk.notes)))


def mend_text(text: str) -> str:
    """Return `text` without NUL, lone surrogates and internal marks."""
    return _ODD_TEXT.sub(REPLACEMENT, text)


class _StopError(Exception):
    """The walk met something unfit."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class _Walk:
    """One pass over a value, gathering notes and counting keys."""

    notes: set[str] = field(default_factory=set)
    keys: int = 0

    def any(self, value: object, *, depth: int) -> object:
        match value:
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int():
                return self.integer(value)
            case float():
                return self.number(value)
            case _:
                return self.container(value, depth=depth)

    def container(self, value: object, *, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise _StopError(
                "too_deep", f"is nested deeper than {MAX_DEPTH} levels; flatten it"
            )
        if isinstance(value, Mapping):
            self.keys += len(value)
            if self.keys > MAX_KEYS:
                raise _StopError(
                    "too_many_keys",
                    f"has more than {MAX_KEYS} keys; send only what rules and "
                    "templates use",
                )
            return {
                self.text(str(k)): self.any(v, depth=depth + 1)
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.any(item, depth=depth + 1) for item in value]
        raise _StopError(
            "not_json", f"holds a {type(value).__name__}, which JSON does not have"
        )

    def text(self, text: str) -> str:
        if not _ODD_TEXT.search(text):
            return text
        if "\x00" in text:
            self.notes.add(NUL_REPLACED)
        if _ODD_TEXT.search(text.replace("\x00", "")):
            self.notes.add(SURROGATE_REPLACED)
        return mend_text(text)

    def integer(self, number: int) -> int | str:
        if MIN_INT <= number <= MAX_INT:
            return number
        self.notes.add(NUMBER_AS_TEXT)
        # Hexadecimal has no limit on digits, decimal has (4,300 in CPython).
        return str(number) if number.bit_length() < 4096 else hex(number)

    def number(self, number: float) -> float:
        if math.isfinite(number):
            return number
        raise _StopError(
            "number_out_of_range", "holds a number that is not finite; send it as text"
        )
