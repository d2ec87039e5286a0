"""The JSON Schema of conditions, made from the same tables that read them."""

from typing import get_args

from campaigns.domain.condition_tree import (
    MAX_LIST,
    MAX_NAME,
    MAX_TEXT,
    MAX_TIMES,
    NO_VALUE,
    DidOp,
    FieldOp,
)

_REF = {"$ref": "#/$defs/Condition"}
_DURATION = {"$ref": "#/$defs/Duration"}


def condition_definition() -> dict[str, object]:
    """Return what "#/$defs/Condition" stands for; needs "#/$defs/Duration"."""
    many = {"type": "array", "items": _REF, "minItems": 1}
    return {
        "title": "Condition",
        "oneOf": [
            _object({"all": many}),
            _object({"any": many}),
            _object({"not": _REF}),
            _compare(),
            _compare_nothing(),
            _did(),
        ],
    }


def _object(
    properties: dict[str, object], *, optional: frozenset[str] = frozenset()
) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _field() -> dict[str, object]:
    return {"type": "string", "maxLength": MAX_NAME}


def _compare() -> dict[str, object]:
    scalar = {
        "anyOf": [
            {"type": "string", "maxLength": MAX_TEXT},
            {"type": "number"},
            {"type": "boolean"},
        ]
    }
    listed = {"type": "array", "items": scalar, "minItems": 1, "maxItems": MAX_LIST}
    ops = [op for op in get_args(FieldOp) if op not in NO_VALUE]
    value = {"anyOf": [scalar, listed, _DURATION]}
    return _object({"field": _field(), "op": {"enum": ops}, "value": value})


def _compare_nothing() -> dict[str, object]:
    return _object({"field": _field(), "op": {"enum": sorted(NO_VALUE)}})


def _did() -> dict[str, object]:
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
    times = {"type": "integer", "minimum": 0, "maximum": MAX_TIMES}
    properties: dict[str, object] = {
        "did": name,
        "op": {"enum": list(get_args(DidOp))},
        "times": times,
        "within": _DURATION,
        "where": {"anyOf": [_REF, {"type": "null"}]},
    }
    return _object(properties, optional=frozenset({"where"}))
