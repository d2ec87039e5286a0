"""The operators of conditions: one value seen, one expected, a verdict in words.

No value makes them raise. Types never mix: a number in text is text, true is
not 1. What is missing or of another type makes an operator false, save those
that deny (ne, not_contains, not_in, not_exists), which are then true.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, cast

from msgspec import UNSET

from campaigns.domain.condition_tree import (
    DATE_OPS,
    NUMBER_OPS,
    RELATIVE_OPS,
    TEXT_OPS,
    Compare,
    read_date,
)
from campaigns.domain.durations import Duration, elapsed
from campaigns.domain.problems import type_word

MAX_SHOWN: Final = 200
MAX_SHOWN_ENTRIES: Final = 10
MAX_SHOWN_NUMBER: Final = 10**40
MISSING: Final = object()

_DENIED: Final = {
    "ne": "eq",
    "not_contains": "contains",
    "not_in": "in",
    "not_exists": "exists",
}
_WORDS: Final = {
    "eq": "equal to",
    "in": "one of",
    "contains": "text or a list that contains",
    "starts_with": "text that starts with",
    "ends_with": "text that ends with",
    "gt": "more than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
    "is_true": "true",
    "is_false": "false",
    "before": "before",
    "after": "after",
    "within_last": "within the last",
    "more_than_ago": "longer ago than",
    "within_next": "within the next",
}
_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "gt": lambda seen, limit: seen > limit,
    "gte": lambda seen, limit: seen >= limit,
    "lt": lambda seen, limit: seen < limit,
    "lte": lambda seen, limit: seen <= limit,
}


def compare(node: Compare, seen: object, *, now: datetime) -> tuple[bool, str]:
    """Return whether the comparison holds for what was seen, and why in a sentence."""
    denied = _DENIED.get(node.op)
    op = denied or node.op
    met, trouble = _met(op, seen, node.value, now)
    reason = trouble or f"{show(seen)} is {'' if met else 'not '}{_wanted(node, op)}"
    return met is (denied is None), f"{node.field}: {reason}"


def look_up(facts: Mapping[str, object], path: str) -> object:
    """Return what is at a dotted path, or MISSING.

    A key that itself holds dots is found too; in lists a number is a place.
    """
    here: object = facts
    rest = path
    while rest:
        if isinstance(here, Mapping):
            if rest in here:
                return here[rest]
            key, _, rest = rest.partition(".")
            here = here.get(key, MISSING)
        elif isinstance(here, (list, tuple)):
            key, _, rest = rest.partition(".")
            here = _entry(here, key)
        else:
            return MISSING
    return here


def show(value: object) -> str:
    """Return a value as people read it, at most 200 characters."""
    if value is MISSING:
        return "nothing"
    return _cut(_text_of(value))


def same(left: object, right: object) -> bool:
    """Say whether two scalars are equal; numbers, texts, truths never mix."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if _is_number(left) and _is_number(right):
        return left == right
    return isinstance(left, str) and isinstance(right, str) and left == right


def _met(op: str, seen: object, value: object, now: datetime) -> tuple[bool, str]:
    """Return whether an operator that does not deny is met, and what hindered it."""
    if op == "exists":
        there = seen is not MISSING and seen is not None
        return there, "there is a value" if there else "there is no value"
    if seen is MISSING:
        return False, "there is no such value"
    if op in {"is_true", "is_false"}:
        return _truth(op, seen)
    if op in NUMBER_OPS:
        return _number(op, seen, value)
    if op in DATE_OPS | RELATIVE_OPS:
        return _time(op, seen, value, now)
    return _equal_or_text(op, seen, value)


def _truth(op: str, seen: object) -> tuple[bool, str]:
    if not isinstance(seen, bool):
        return False, f"{show(seen)} is {type_word(seen)}, not true or false"
    return seen is (op == "is_true"), ""


def _number(op: str, seen: object, value: object) -> tuple[bool, str]:
    if not _is_number(seen):
        hint = " (text is never read as a number)" if isinstance(seen, str) else ""
        return False, f"{show(seen)} is {type_word(seen)}, not a number{hint}"
    return _ORDER[op](cast("float", seen), cast("float", value)), ""


def _equal_or_text(op: str, seen: object, value: object) -> tuple[bool, str]:
    if op == "eq":
        return same(seen, value), _mismatch(seen, value)
    if op == "in":
        return any(same(seen, one) for one in cast("tuple[object, ...]", value)), ""
    if op == "contains" and isinstance(seen, (list, tuple)):
        return any(same(entry, value) for entry in seen), ""
    if op in TEXT_OPS | {"contains"} and not isinstance(seen, str):
        wanted = "text or a list" if op == "contains" else "text"
        return False, f"{show(seen)} is {type_word(seen)}, not {wanted}"
    if not isinstance(value, str):
        return False, f"{show(seen)} is text, the value looked for {type_word(value)}"
    return _text(op, cast("str", seen), value), ""


def _text(op: str, seen: str, value: str) -> bool:
    if op == "starts_with":
        return seen.startswith(value)
    return seen.endswith(value) if op == "ends_with" else value in seen


def _time(op: str, seen: object, value: object, now: datetime) -> tuple[bool, str]:
    moment = read_date(seen) if isinstance(seen, str) else None
    if moment is None:
        return False, f"{show(seen)} is {type_word(seen)}, not a date in ISO form"
    if isinstance(value, Duration):
        return _relative(op, moment - now, value), ""
    limit = read_date(cast("str", value))
    if limit is None:
        return False, f"{show(value)} is not a date in ISO form"
    return (moment < limit if op == "before" else moment > limit), ""


def _relative(op: str, ahead: timedelta, value: Duration) -> bool:
    span = elapsed(value)
    if op == "within_next":
        return timedelta(0) <= ahead <= span
    if op == "within_last":
        return -span <= ahead <= timedelta(0)
    return ahead < -span


def _mismatch(seen: object, value: object) -> str:
    if seen is None or type_word(seen) == type_word(value):
        return ""
    return (
        f"{show(seen)} is {type_word(seen)}, the value compared with {type_word(value)}"
    )


def _wanted(node: Compare, op: str) -> str:
    word = _WORDS[op]
    return word if node.value is UNSET else f"{word} {expected(node)}"


def expected(node: Compare) -> str:
    """Return the value that the comparison is with, as people read it ("" if none)."""
    return "" if node.value is UNSET else show(node.value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _entry(entries: list[object] | tuple[object, ...], key: str) -> object:
    if key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(entries):
        return entries[int(key)]
    return MISSING


def _text_of(value: object) -> str:
    match value:
        case None | bool():
            text = "null" if value is None else str(value).lower()
        case str():
            text = f'"{value[:MAX_SHOWN]}"'
        case list() | tuple():
            text = _list_text(value)
        case Mapping():
            text = f"an object with {len(value)} fields"
        case int() if abs(value) >= MAX_SHOWN_NUMBER:
            text = "a number of more than 40 digits"
        case _:
            text = str(value)
    return text


def _list_text(entries: list[object] | tuple[object, ...]) -> str:
    inner = [_inner(entry) for entry in entries[:MAX_SHOWN_ENTRIES]]
    if len(entries) > MAX_SHOWN_ENTRIES:
        inner.append(f"… ({len(entries)})")
    return f"[{', '.join(inner)}]"


def _inner(entry: object) -> str:
    nested = isinstance(entry, (list, tuple, Mapping))
    return type_word(entry) if nested else _text_of(entry)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
