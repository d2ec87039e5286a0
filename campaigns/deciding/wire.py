"""Parameters of hot statements in PostgreSQL's binary form.

A statement's casts name the types, so nothing is guessed: every parameter is
written %(name)s::type or %(name)s::type[]. Whole columns are written here in
one go; psycopg's own dumpers look at each value by itself.

Formats: the *_recv functions of PostgreSQL (src/backend/utils/adt), oids of pg_type.
"""

import re
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from struct import Struct
from typing import Any, Final
from uuid import UUID

from campaigns.sql import load

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
PARAMETER: Final = re.compile(r"%\((\w+)\)s(?:::(\w+)(\[\])?)?")

Dump = Callable[[Any], bytes]

_length: Final = Struct(">i").pack
_array_head: Final = Struct(">iiIii").pack
_empty_head: Final = Struct(">iiI").pack
_sized_int2: Final = Struct(">ih").pack
_sized_int4: Final = Struct(">ii").pack
_sized_int8: Final = Struct(">iq").pack
_sized_float8: Final = Struct(">id").pack
_NULL: Final = _length(-1)
_TRUE: Final = _length(1) + b"\1"
_FALSE: Final = _length(1) + b"\0"
_UUID_LENGTH: Final = _length(16)
_PIECE: Final = 100  # what packs a column of thousands would take half a megabyte


def _int2(value: int) -> bytes:
    return _sized_int2(2, value)


def _int4(value: int) -> bytes:
    return _sized_int4(4, value)


def _int8(value: int) -> bytes:
    return _sized_int8(8, value)


def _float8(value: float) -> bytes:
    return _sized_float8(8, value)


def _bool(value: object) -> bytes:
    return _TRUE if value else _FALSE


def _text(value: str | bytes) -> bytes:
    """Write text, which bytes are already in UTF-8."""
    encoded = value if isinstance(value, bytes) else value.encode()
    return _length(len(encoded)) + encoded


def _bytea(value: bytes) -> bytes:
    return _length(len(value)) + value


def _uuid(value: UUID | bytes) -> bytes:
    return _UUID_LENGTH + (value if isinstance(value, bytes) else value.bytes)


def _timestamp(value: datetime) -> bytes:
    return _sized_int8(8, _microseconds(value))


def _microseconds(value: datetime) -> int:
    return (value - EPOCH) // MICROSECOND


def _jsonb(value: str) -> bytes:
    """Write JSON text; the first byte is the version of jsonb's format."""
    encoded = value.encode()
    return _length(len(encoded) + 1) + b"\1" + encoded


@cache  # for up to _PIECE elements
def _packer(code: str, count: int) -> Callable[..., bytes]:
    """Return what packs that many elements of one size, each behind its length."""
    return Struct(">" + f"i{code}" * count).pack


def _integers(code: str, size: int) -> Dump:
    """Return what writes a column of integers, none of them null, in one go."""

    def written(values: list[int]) -> bytes:
        count = len(values)
        if count > _PIECE:
            starts = range(0, count, _PIECE)
            return b"".join([written(values[at : at + _PIECE]) for at in starts])
        flat = [size] * (2 * count)
        flat[1::2] = values
        return _packer(code, count)(*flat)

    return written


_int8s: Final = _integers("q", 8)


def _texts(values: list[str | bytes | None]) -> bytes:
    return b"".join(
        [
            _NULL
            if v is None
            else _length(len(e := v if isinstance(v, bytes) else v.encode())) + e
            for v in values
        ]
    )


def _timestamps(values: list[datetime]) -> bytes:
    return _int8s(list(map(_microseconds, values)))


@dataclass(frozen=True, slots=True)
class _Type:
    """How a value is written as an element: its length, then its bytes.

    `column` writes many faster than one by one, or raises TypeError or struct.error
    if it cannot write nulls and one is among them.
    """

    oid: int
    array_oid: int
    element: Dump
    column: Dump | None = None

    def scalar(self, value: Any) -> bytes:
        return self.element(value)[4:]

    def array(self, values: Collection[Any]) -> bytes:
        if not values:
            return _empty_head(0, 0, self.oid)
        column = values if isinstance(values, list) else list(values)
        return _array_head(1, 1, self.oid, len(column), 1) + self._elements(column)

    def _elements(self, column: list[Any]) -> bytes:
        first, count = column[0], len(column)
        if column[-1] == first and column.count(first) == count:
            return (_NULL if first is None else self.element(first)) * count
        if self.column is not None:
            try:
                return self.column(column)
            except (TypeError, struct.error):
                pass  # nulls, or what is refused below
        element = self.element
        return b"".join([_NULL if v is None else element(v) for v in column])


_TYPES: Final[Mapping[str, _Type]] = {
    "smallint": _Type(21, 1005, _int2, _integers("h", 2)),
    "int": _Type(23, 1007, _int4, _integers("i", 4)),
    "bigint": _Type(20, 1016, _int8, _int8s),
    "float8": _Type(701, 1022, _float8),
    "bool": _Type(16, 1000, _bool),
    "text": _Type(25, 1009, _text, _texts),
    "bytea": _Type(17, 1001, _bytea),
    "uuid": _Type(2950, 2951, _uuid),
    "timestamptz": _Type(1184, 1185, _timestamp, _timestamps),
    "jsonb": _Type(3802, 3807, _jsonb),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as PostgreSQL prepares it, and how its parameters are written."""

    name: bytes
    text: bytes
    names: tuple[str, ...]
    oids: tuple[int, ...]
    dumps: tuple[Dump, ...]

    def parameters(self, values: Mapping[str, object]) -> list[bytes | None]:
        """Return the values in binary form, in the statement's order.

        Raises KeyError for one that is missing, TypeError or struct.error for
        one of another type.
        """
        if len(values) != len(self.names):
            odd = values.keys() ^ set(self.names)
            raise TypeError(f"{self.name.decode()}: {', '.join(sorted(odd))}")
        return [
            None if (value := values[name]) is None else dump(value)
            for name, dump in zip(self.names, self.dumps, strict=True)
        ]


@cache
def statement(name: str) -> Statement:
    """Return campaigns/sql/<name>.sql, made ready."""
    names: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        parameter, kind, array = found.groups()
        if kind not in _TYPES:
            raise ValueError(f"{name}.sql: %({parameter})s needs a cast to its type")
        written = f"{kind}{array or ''}"
        if names.setdefault(parameter, written) != written:
            raise ValueError(f"{name}.sql: %({parameter})s has two types")
        return f"${list(names).index(parameter) + 1}::{written}"

    text = PARAMETER.sub(numbered, load(name).decode()).replace("%%", "%")
    kinds = [(_TYPES[k.removesuffix("[]")], k.endswith("[]")) for k in names.values()]
    return Statement(
        name=f"et_{name}".encode(),
        text=text.encode(),
        names=tuple(names),
        oids=tuple(t.array_oid if array else t.oid for t, array in kinds),
        dumps=tuple(t.array if array else t.scalar for t, array in kinds),
    )
