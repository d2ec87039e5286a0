"""Conditions as trees: their nodes, their JSON form, and its bounds.

The JSON form is one of: {"all": [..]}, {"any": [..]}, {"not": {..}},
{"field": "event.properties.total", "op": "gte", "value": 50},
{"did": "Order Completed", "op": "at_least", "times": 1,
 "within": {"amount": 7, "unit": "days"}, "where": {..}}.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, cast, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from campaigns.domain.durations import Duration, elapsed
from campaigns.domain.problems import Invalid, Problem, type_word, under, unstorable

MAX_DEPTH: Final = 6
MAX_NODES: Final = 100
MAX_LIST: Final = 500
MAX_TIMES: Final = 100
MAX_TEXT: Final = 1000
MAX_NAME: Final = 200
MAX_DAYS: Final = 3660
MAX_NUMBER: Final = 2**63

FieldOp = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "contains", "not_contains",
    "starts_with", "ends_with", "in", "not_in", "exists", "not_exists",
    "is_true", "is_false", "before", "after", "within_last", "more_than_ago",
    "within_next",
]  # fmt: skip
DidOp = Literal["at_least", "at_most", "exactly"]
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...] | Duration

NO_VALUE: Final = frozenset({"exists", "not_exists", "is_true", "is_false"})
NUMBER_OPS: Final = frozenset({"gt", "gte", "lt", "lte"})
TEXT_OPS: Final = frozenset({"starts_with", "ends_with"})
LIST_OPS: Final = frozenset({"in", "not_in"})
DATE_OPS: Final = frozenset({"before", "after"})
RELATIVE_OPS: Final = frozenset({"within_last", "more_than_ago", "within_next"})

_EXACT_PATHS: Final = frozenset({"event.name", "journey.woken_by"})
_PREFIXES: Final = ("event.properties.", "event.context.", "customer.")
_WHERE_PREFIXES: Final = ("event.properties.",)


class ConditionInvalid(Invalid):
    """The JSON is not a condition."""


class Condition:
    """Any node of a condition's tree."""

    __slots__ = ()


class AllOf(Condition, Struct, frozen=True, rename={"parts": "all"}):
    """Holds if every part holds."""

    parts: tuple[Condition, ...]


class AnyOf(Condition, Struct, frozen=True, rename={"parts": "any"}):
    """Holds if at least one part holds."""

    parts: tuple[Condition, ...]


class Not(Condition, Struct, frozen=True, rename={"part": "not"}):
    """Holds if its part does not."""

    part: Condition


class Compare(Condition, Struct, frozen=True, omit_defaults=True):
    """Compares the value found at a path with a fixed one."""

    field: str
    op: FieldOp
    value: Value | UnsetType = UNSET


class Did(Condition, Struct, frozen=True, omit_defaults=True):
    """Counts the person's events of one name in the time before now."""

    did: str
    op: DidOp
    times: int
    within: Duration
    where: Condition | None = None


def parse_condition(obj: object, *, at: str = "") -> Condition:
    """Read the JSON form; `at` goes before the paths of problems.

    Raises ConditionInvalid with every problem found.
    """
    reader = _Reader()
    try:
        reader.problems.extend(unstorable(obj, at))
        node = reader.node(obj, at, depth=1)
    except RecursionError:
        node, reader.problems = None, [Problem(at, "is nested too deep")]
    if node is None or reader.problems:
        raise ConditionInvalid(reader.problems)
    return node


def dump_condition(condition: Condition) -> dict[str, object]:
    """Return the JSON form, made of dicts, lists and scalars."""
    raw = msgspec.json.decode(msgspec.json.encode(condition))
    return cast("dict[str, object]", raw)


def read_date(text: str) -> datetime | None:
    """Read an ISO 8601 date or time; without an offset it is taken as UTC."""
    return _read_date(text) if len(text) <= 40 else None


@lru_cache(maxsize=1024)
def _read_date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except ValueError:
        return None


class _Reader:
    """One walk over the JSON form, collecting problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.nodes = 0

    def fault(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def node(
        self, obj: object, at: str, *, depth: int, where: bool = False
    ) -> Condition | None:
        self.nodes += 1
        if self.nodes > MAX_NODES:  # the lists above stop here too
            self.fault(at, f"is one part too many: at most {MAX_NODES}")
            return None
        if depth > MAX_DEPTH:
            self.fault(at, f"is nested too deep: at most {MAX_DEPTH} levels")
            return None
        if not isinstance(obj, Mapping):
            self.fault(at, f"must be a condition (an object), not {type_word(obj)}")
            return None
        return self._form(obj, at, depth=depth, where=where)

    def _form(
        self, obj: Mapping[str, object], at: str, *, depth: int, where: bool
    ) -> Condition | None:
        forms = [key for key in ("all", "any", "not", "field", "did") if key in obj]
        if len(forms) != 1:
            self.fault(
                at, 'must have exactly one of "all", "any", "not", "field", "did"'
            )
            return None
        match forms[0]:
            case "field":
                return self._compare(obj, at, where=where)
            case "did" if where:
                self.fault(at, 'cannot stand inside "where"')
                return None
            case "did":
                return self._did(obj, at, depth=depth)
            case "not":
                self._only(obj, at, {"not"})
                part = self.node(
                    obj["not"], under(at, "not"), depth=depth + 1, where=where
                )
                return None if part is None else Not(part=part)
            case group:
                parts = self._parts(obj, at, group, depth=depth, where=where)
                return AllOf(parts=parts) if group == "all" else AnyOf(parts=parts)

    def _only(self, obj: Mapping[str, object], at: str, known: set[str]) -> None:
        for key in obj:
            if key not in known:
                self.fault(under(at, str(key)[:MAX_NAME]), "is not a known field here")

    def _parts(
        self, obj: Mapping[str, object], at: str, group: str, *, depth: int, where: bool
    ) -> tuple[Condition, ...]:
        self._only(obj, at, {group})
        entries, place = obj[group], under(at, group)
        if not isinstance(entries, (list, tuple)) or not entries:
            self.fault(place, "must be a list of at least one condition")
            return ()
        found: list[Condition] = []
        for number, entry in enumerate(entries):
            part = self.node(entry, under(place, number), depth=depth + 1, where=where)
            if self.nodes > MAX_NODES:
                break
            if part is not None:
                found.append(part)
        return tuple(found)

    def _compare(
        self, obj: Mapping[str, object], at: str, *, where: bool
    ) -> Condition | None:
        self._only(obj, at, {"field", "op", "value"})
        before = len(self.problems)
        field, op = obj["field"], obj.get("op")
        self._path(field, under(at, "field"), where=where)
        if op not in get_args(FieldOp):
            self.fault(
                under(at, "op"), f"must be one of {', '.join(get_args(FieldOp))}"
            )
            return None
        value = self._value(obj, cast("str", op), under(at, "value"))
        if len(self.problems) > before:
            return None
        return Compare(field=cast("str", field), op=cast("FieldOp", op), value=value)

    def _path(self, field: object, at: str, *, where: bool) -> None:
        if not isinstance(field, str) or len(field) > MAX_NAME:
            self.fault(at, f"must be a path of at most {MAX_NAME} characters")
            return
        prefixes = _WHERE_PREFIXES if where else _PREFIXES
        if not where and field in _EXACT_PATHS:
            return
        if any(field.startswith(p) and len(field) > len(p) for p in prefixes):
            if "" in field.split("."):
                self.fault(at, "must not be empty between its dots")
            return
        known = ", ".join(f"{prefix}<name>" for prefix in prefixes)
        more = "" if where else ", event.name or journey.woken_by"
        self.fault(at, f"must be {known}{more}")

    def _value(self, obj: Mapping[str, object], op: str, at: str) -> Value | UnsetType:
        if op in NO_VALUE:
            if "value" in obj:
                self.fault(at, f'must be left out: "{op}" compares with nothing')
            return UNSET
        if "value" not in obj:
            self.fault(at, f'is missing: "{op}" needs it')
            return UNSET
        raw = obj["value"]
        if op in RELATIVE_OPS:
            return self.duration(raw, at) or UNSET
        if op in LIST_OPS:
            return self._list(raw, at)
        return self._scalar(raw, at, op)

    def _list(self, raw: object, at: str) -> Value | UnsetType:
        if not isinstance(raw, (list, tuple)) or not 1 <= len(raw) <= MAX_LIST:
            self.fault(at, f"must be a list of 1 to {MAX_LIST} values")
            return UNSET
        entries = [
            self._scalar(entry, under(at, number), "in")
            for number, entry in enumerate(raw)
        ]
        return tuple(entry for entry in entries if entry is not UNSET)

    def _scalar(self, raw: object, at: str, op: str) -> Scalar | UnsetType:
        fault = _scalar_fault(raw, op)
        if fault:
            self.fault(at, fault)
            return UNSET
        return cast("Scalar", raw)

    def duration(self, raw: object, at: str) -> Duration | None:
        try:
            found = raw if isinstance(raw, Duration) else msgspec.convert(raw, Duration)
        except (msgspec.ValidationError, UnicodeEncodeError):
            self.fault(
                at,
                'must be a time such as {"amount": 3, "unit": "days"} (or minutes, hours, weeks)',
            )
            return None
        if not 0 < elapsed(found).total_seconds() <= MAX_DAYS * 86400:
            self.fault(at, f"must be more than nothing and at most {MAX_DAYS} days")
            return None
        return found

    def _did(
        self, obj: Mapping[str, object], at: str, *, depth: int
    ) -> Condition | None:
        self._only(obj, at, {"did", "op", "times", "within", "where"})
        before = len(self.problems)
        name, op, times = obj["did"], obj.get("op"), obj.get("times")
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME:
            self.fault(
                under(at, "did"),
                f"must be an event's name of 1 to {MAX_NAME} characters",
            )
        if op not in get_args(DidOp):
            self.fault(under(at, "op"), f"must be one of {', '.join(get_args(DidOp))}")
        if type(times) is not int or not 0 <= times <= MAX_TIMES:
            self.fault(
                under(at, "times"), f"must be a whole number from 0 to {MAX_TIMES}"
            )
        elif times == 0 and op == "at_least":
            self.fault(
                under(at, "times"), "must be at least 1: at least 0 always holds"
            )
        within = self.duration(obj.get("within"), under(at, "within"))
        where = None
        if obj.get("where") is not None:
            where = self.node(
                obj["where"], under(at, "where"), depth=depth + 1, where=True
            )
        if len(self.problems) > before or within is None:
            return None
        return Did(
            did=cast("str", name).strip(),
            op=cast("DidOp", op),
            times=cast("int", times),
            within=within,
            where=where,
        )


def _scalar_fault(raw: object, op: str) -> str:
    """Return what is wrong with one value for this operator, or ''."""
    is_number = isinstance(raw, (int, float)) and not isinstance(raw, bool)
    if op in NUMBER_OPS and not is_number:
        return f"must be a number, not {type_word(raw)}"
    if op in TEXT_OPS | DATE_OPS and not isinstance(raw, str):
        return f"must be text, not {type_word(raw)}"
    if not isinstance(raw, (str, int, float, bool)):
        return f"must be text, a number, or true or false, not {type_word(raw)}"
    if isinstance(raw, str):
        return _text_fault(raw, op)
    if isinstance(raw, float) and not math.isfinite(raw):
        return "must be a finite number"
    return "" if abs(raw) < MAX_NUMBER else "is too big a number"


def _text_fault(raw: str, op: str) -> str:
    if len(raw) > MAX_TEXT:
        return f"must be at most {MAX_TEXT} characters"
    if op in DATE_OPS and read_date(raw) is None:
        return "must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z"
    if op in TEXT_OPS | {"contains", "not_contains"} and not raw:
        return "must not be empty"
    return ""
