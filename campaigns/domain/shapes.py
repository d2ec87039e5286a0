"""Turning JSON into typed structs, with every problem named in plain words."""

import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from campaigns.domain.condition_tree import (
    Condition,
    ConditionInvalid,
    parse_condition,
)
from campaigns.domain.problems import Problem, type_word, under

Found = Iterator[Problem]
_WORDS: Final = {
    int: "a whole number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
}


def decode_hook(kind: type, obj: object) -> Condition:
    """Read what msgspec does not know by itself: conditions."""
    if kind is not Condition:
        raise NotImplementedError(kind)
    return parse_condition(obj)


def shape_problems(kind: Any, obj: object, at: str = "") -> Found:
    """Find where a JSON value does not have the shape of `kind`, a type annotation.

    Finds at least one problem whenever msgspec.convert would refuse the value.
    """
    kind, meta = _bare(kind)
    if _is_optional(kind):
        if obj is None:
            return
        kind, meta = _bare(next(k for k in get_args(kind) if k is not type(None)))
    if kind is Condition:
        yield from _condition(obj, at)
    elif isinstance(kind, type) and issubclass(kind, Struct):
        yield from _struct(kind, obj, at)
    elif get_origin(kind) is tuple:
        yield from _list(kind, meta, obj, at)
    elif get_origin(kind) is Literal:
        if not any(type(obj) is type(one) and obj == one for one in get_args(kind)):
            yield Problem(at, f"must be {_either(get_args(kind))}")
    else:
        yield from _plain(kind, meta, obj, at)


def _condition(obj: object, at: str) -> Found:
    try:
        parse_condition(obj, at=at)
    except ConditionInvalid as invalid:
        yield from invalid.problems


def _struct(kind: type[Struct], obj: object, at: str) -> Found:
    if not isinstance(obj, Mapping):
        yield Problem(at, f"must be an object, not {type_word(obj)}")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in obj:
        if key not in fields:
            yield Problem(under(at, str(key)[:200]), "is not a known field here")
    for name, field in fields.items():
        if name in obj:
            yield from shape_problems(field.type, obj[name], under(at, name))
        elif field.required:
            yield Problem(under(at, name), "is missing")


def _list(kind: Any, meta: Meta | None, obj: object, at: str) -> Found:
    if not isinstance(obj, (list, tuple)):
        yield Problem(at, f"must be a list, not {type_word(obj)}")
        return
    if meta and meta.min_length and len(obj) < meta.min_length:
        yield Problem(at, f"must have at least {meta.min_length} entry")
    if meta and meta.max_length and len(obj) > meta.max_length:
        yield Problem(at, f"must have at most {meta.max_length} entries")
        return
    for number, entry in enumerate(obj):
        yield from shape_problems(get_args(kind)[0], entry, under(at, number))


def _plain(kind: type, meta: Meta | None, obj: object, at: str) -> Found:
    if type(obj) is not kind:
        decimals = " with decimals" if isinstance(obj, float) else ""
        yield Problem(at, f"must be {_WORDS[kind]}, not {type_word(obj)}{decimals}")
    elif meta and isinstance(obj, int):
        if not _within(obj, meta):
            yield Problem(at, f"must be {_WORDS[kind]} {_range(meta)}")
    elif meta and isinstance(obj, str):
        yield from _text(meta, obj, at)


def _text(meta: Meta, text: str, at: str) -> Found:
    if meta.pattern and not re.fullmatch(meta.pattern, text):
        yield Problem(at, "must be a time of day such as 09:00")
    elif meta.min_length and len(text) < meta.min_length:
        yield Problem(at, "must not be empty")
    elif meta.max_length and len(text) > meta.max_length:
        yield Problem(at, f"must be at most {meta.max_length} characters")


def _within(number: int, meta: Meta) -> bool:
    above = meta.ge is None or number >= meta.ge
    return above and (meta.le is None or number <= meta.le)


def _range(meta: Meta) -> str:
    if meta.le is None or meta.le >= 2**31:
        return f"of at least {meta.ge}"
    return f"from {meta.ge} to {meta.le}"


def _bare(kind: Any) -> tuple[Any, Meta | None]:
    if get_origin(kind) is Annotated:
        inner, *rest = get_args(kind)
        return inner, next((one for one in rest if isinstance(one, Meta)), None)
    return kind, None


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in {Union, types.UnionType}


def _either(options: tuple[object, ...]) -> str:
    return " or ".join(
        f'"{option}"' if isinstance(option, str) else str(option) for option in options
    )
