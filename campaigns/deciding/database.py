"""Server-side prepared statements on Django's own connection.

Django's cursor binds on the client and plans every call anew; a plain psycopg
cursor on the same connection prepares once and shares the transaction.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from psycopg.adapt import Loader

from campaigns.sql import load

if TYPE_CHECKING:
    from psycopg.abc import Buffer

Row = tuple[Any, ...]


class DatabaseAway(Exception):
    """The database cannot be reached; nothing was decided. Try again soon."""


def run(name: str, /, **params: object) -> list[Row]:
    """Run campaigns/sql/<name>.sql and return its rows (none for a plain write)."""
    cursor = _cursor()
    # Raised as Django's errors, as `decide` and the ORM's callers know them.
    with connection.wrap_database_errors:
        cursor.execute(load(name), params or None, prepare=True)
        return cursor.fetchall() if cursor.description else []


def count(name: str, /, **params: object) -> int:
    """Run campaigns/sql/<name>.sql and return how many rows it wrote."""
    cursor = _cursor()
    with connection.wrap_database_errors:
        cursor.execute(load(name), params or None, prepare=True)
        return cursor.rowcount


def _cursor() -> "psycopg.Cursor[Row]":
    connection.ensure_connection()
    cursor = psycopg.Cursor(connection.connection)
    # Django leaves jsonb as text for its own fields to decode.
    cursor.adapters.register_loader("jsonb", _JsonbLoader)
    return cursor


class _JsonbLoader(Loader):
    def load(self, data: "Buffer") -> object:
        return msgspec.json.decode(bytes(data))


def is_away(error: BaseException) -> bool:
    """Return whether the error means that the connection, not the data, failed."""
    if isinstance(error, InterfaceError | psycopg.InterfaceError):
        return True
    if not isinstance(error, OperationalError | psycopg.OperationalError):
        return False
    return not is_retryable(error)


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a database error, '' if it has none."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return getattr(cause, "sqlstate", None) or ""


def is_retryable(error: BaseException) -> bool:
    """Return whether the whole transaction may simply be tried again."""
    return sqlstate(error) in {"40001", "40P01"}


def is_data_error(error: BaseException) -> bool:
    """Return whether the data are at fault (SQLSTATE classes 22 and 23)."""
    return sqlstate(error)[:2] in {"22", "23"}


def columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Return rows as lists of columns, for unnest."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
