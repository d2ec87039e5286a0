"""Hot statements on Django's own connection: prepared, binary, many in one round trip.

Django's cursor binds on the client and plans every call anew, and psycopg's costs
more for each call than the server's work. So statements go to libpq as psycopg
wraps it (psycopg.pq), within the transaction that Django began; psycopg still
reads the results, waits and makes the errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq
from psycopg.adapt import Loader, Transformer
from psycopg.errors import error_from_result
from psycopg.waiting import Wait

from campaigns.deciding.wire import Statement, statement

if TYPE_CHECKING:
    from psycopg.abc import Buffer, PQGen
    from psycopg.pq.abc import PGconn, PGresult

Row = tuple[Any, ...]
_BINARY: Final = pq.Format.BINARY
_DONE: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_UNKNOWN_STATEMENT: Final = "26000"
# Statements go by keys, and their plans are kept for long, often made while tables are
# small or, in a quiet hour, empty: the planner may not fall back on whole tables.
_SETTING: Final = b"et_by_keys"
_BY_KEYS: Final = b"""SELECT
  set_config('enable_seqscan', 'off', true),
  set_config('enable_hashjoin', 'off', true),
  set_config('enable_mergejoin', 'off', true),
  set_config('jit', 'off', true)"""
# The same where each transaction may find another server, as which none begins.
_POOLED: Final = (
    _BY_KEYS
    + b""",
  set_config('plan_cache_mode', 'force_generic_plan', true)"""
)


class DatabaseAway(Exception):
    """The database cannot be reached; nothing was decided. Try again soon."""


class BrokenInvariant(Exception):
    """A row was not in the state that was read under its lock. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Call:
    """campaigns/sql/<name>.sql with its parameters.

    `rows` is how many it must write; BrokenInvariant if it is another number.
    """

    name: str
    parameters: Mapping[str, object]
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The rows that a statement returned, and how many it returned or wrote."""

    rows: list[Row]
    count: int


# What each command sent does: prepare the statement of this name, return the rows of
# this call, or (None) begin, set or commit.
_Sent = bytes | Call | None


def call(name: str, /, *, rows: int | None = None, **parameters: object) -> Call:
    """Return a Call with these parameters."""
    return Call(name, parameters, rows)


def run(name: str, /, **parameters: object) -> list[Row]:
    """Run campaigns/sql/<name>.sql and return its rows (none for a plain write)."""
    return run_all([Call(name, parameters)])[0].rows


def run_all(calls: Sequence[Call], *, commit: bool = False) -> list[Result]:
    """Run statements in their order, in one round trip; return a result for each.

    Each sees what those before it did, and what others committed before it
    began. The first error is raised, and none after it was run. `commit` ends the
    transaction in the same round trip, unless rows are to be counted before.
    """
    connection.ensure_connection()
    commit = commit and all(call.rows is None for call in calls)
    # Raised as Django's errors, as `decide` and the ORM's callers know them.
    with connection.wrap_database_errors:
        return _session().run(calls, commit=commit)


@contextmanager
def meanwhile(each: Call) -> Iterator[None]:
    """Have the server run a statement of a transaction while the block computes.

    The block's end waits for it and raises its error, as does a run_all within. The
    block may not use the connection in another way, as the ORM does.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        session = _session()
        session.start(each)
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error, BrokenInvariant):
            session.collect()
        raise
    with connection.wrap_database_errors:
        session.collect()


def greet(name: str, look: Callable[[list[Row]], None]) -> None:
    """Have campaigns/sql/<name>.sql run on each new connection, before all else.

    `look` gets its rows; what it raises comes out of run_all, and the next call asks
    again. Behind a pooler each transaction may meet another server: it is asked first.
    """
    _greetings[name] = look


def _session() -> "_Session":
    wrapper = connections[DEFAULT_DB_ALIAS]
    raw = wrapper.connection
    found = _sessions.get(wrapper)
    if found is None or not found.is_of(raw):
        found = _sessions[wrapper] = _Session(raw)
    if not found.is_known:
        found.look(found.run(found.greetings(), commit=False))
        found.is_known = True
    return found


class _Session:
    """What is prepared on one connection."""

    def __init__(self, raw: "psycopg.Connection[Row]") -> None:
        self.is_known = False  # whether those who greet it had nothing against it
        # Whether a pooler may swap the server after each transaction: then nothing of
        # ours was set for the session (emailtriggers.connecting).
        self.is_pooled = b"plan_cache_mode" not in raw.pgconn.options
        self._raw = raw
        self._prepared: set[bytes] = set()
        self._started: list[_Sent] = []
        cursor = psycopg.Cursor(raw)
        # Django leaves jsonb as text for its own fields to decode.
        cursor.adapters.register_loader("jsonb", _JsonbLoader)
        self._transformer = Transformer(cursor)

    def is_of(self, raw: "psycopg.Connection[Row]") -> bool:
        """Return whether it is of that connection, not of one that was closed."""
        return self._raw is raw

    def greetings(self) -> list[Call]:
        """Return the statements that are asked before any other."""
        return [Call(name, {}) for name in _greetings]

    def look(self, results: Sequence[Result]) -> None:
        """Have their answers looked at."""
        for look, result in zip(_greetings.values(), results, strict=True):
            look(result.rows)

    def run(self, calls: Sequence[Call], *, commit: bool) -> list[Result]:
        """Run the statements as run_all does, on this connection."""
        self.collect()
        idle = self._raw.pgconn.transaction_status == pq.TransactionStatus.IDLE
        begin = idle and not self._raw.autocommit
        if not (begin and self.is_pooled and self.is_known):
            return self._answers(self._send_all(calls, begin=begin, commit=commit))
        first = self.greetings()
        all_calls = [*first, *calls]
        results = self._answers(self._send_all(all_calls, begin=True, commit=False))
        self.look(results[: len(first)])
        return results[len(first) :]

    def start(self, each: Call) -> None:
        """Send a statement of the transaction under way; `collect` waits for it."""
        self.collect()
        if self._raw.pgconn.transaction_status != pq.TransactionStatus.INTRANS:
            raise RuntimeError(f"{each.name} would be a transaction of its own")
        self._started = self._send_all([each], begin=False, commit=False)

    def collect(self) -> None:
        """Wait for what was started, if it has not ended; raise its error."""
        sent, self._started = self._started, []
        if sent:
            self._answers(sent)

    def _send_all(
        self, calls: Sequence[Call], *, begin: bool, commit: bool
    ) -> list[_Sent]:
        """Queue the statements; `_answers` is to follow."""
        pgconn = self._raw.pgconn
        ready = [(s := statement(c.name), s.parameters(c.parameters)) for c in calls]
        sent: list[_Sent] = []
        with _whole(pgconn):
            opens = pgconn.transaction_status == pq.TransactionStatus.IDLE
            pgconn.enter_pipeline_mode()
            if begin:
                pgconn.send_query_params(b"BEGIN", None)
                sent.append(None)
            sent += self._set([known for known, _ in ready], opens=opens)
            for each, (known, values) in zip(calls, ready, strict=True):
                sent += self._send(pgconn, known, values)
                sent.append(each)
            if commit:
                pgconn.send_query_params(b"COMMIT", None)
                sent.append(None)
            pgconn.pipeline_sync()
        return sent

    def _answers(self, sent: Sequence[_Sent]) -> list[Result]:
        """Wait for the results of what was sent; raise the first error among them."""
        pgconn = self._raw.pgconn
        with _whole(pgconn):
            results = self._raw.wait(_results(pgconn))
            pgconn.exit_pipeline_mode()
        pairs = list(zip(sent, results, strict=True))
        self._prepared.difference_update(
            what
            for what, result in pairs
            if isinstance(what, bytes) and result.status not in _DONE
        )
        for _, result in pairs:
            self._check(result)
        return [self._read(what, r) for what, r in pairs if isinstance(what, Call)]

    def _set(self, known: Sequence[Statement], *, opens: bool) -> list[_Sent]:
        """Tell the planner, which may plan a statement anew whenever a table changed.

        Of a transaction only those that open it need it, and what is prepared here; one
        that the ORM opened gets it with the latter only.
        """
        pgconn = self._raw.pgconn
        if self.is_pooled:
            pgconn.send_query_params(_POOLED, None)
            return [None]
        if not opens and all(each.name in self._prepared for each in known):
            return []
        new = _SETTING not in self._prepared
        if new:
            self._prepared.add(_SETTING)
            pgconn.send_prepare(_SETTING, _BY_KEYS)
        pgconn.send_query_prepared(_SETTING, None)
        return [_SETTING, None] if new else [None]

    def _send(
        self, pgconn: "PGconn", known: Statement, values: list[bytes | None]
    ) -> list[bytes]:
        """Queue a statement; return its name if it had to be prepared first."""
        formats = [_BINARY] * len(values)
        if self.is_pooled:
            pgconn.send_query_params(
                known.text, values, known.oids, formats, result_format=_BINARY
            )
            return []
        new = known.name not in self._prepared
        if new:
            self._prepared.add(known.name)
            pgconn.send_prepare(known.name, known.text, known.oids)
        pgconn.send_query_prepared(known.name, values, formats, _BINARY)
        return [known.name] if new else []

    def _check(self, result: "PGresult") -> None:
        if result.status in _DONE:
            return
        error = error_from_result(result)
        if error.sqlstate == _UNKNOWN_STATEMENT:
            self._prepared.clear()
        raise error

    def _read(self, call: Call, result: "PGresult") -> Result:
        count = result.ntuples or result.command_tuples or 0
        if call.rows is not None and count != call.rows:
            raise BrokenInvariant(f"{call.name}: {count} rows of {call.rows}")
        if not result.nfields:
            return Result([], count)
        self._transformer.set_pgresult(result)
        return Result(self._transformer.load_rows(0, result.ntuples, tuple), count)


_greetings: dict[str, Callable[[list[Row]], None]] = {}
# By Django's side of a connection, which outlives the server's: a session holds the
# latter, so as its key that would never go.
_sessions: WeakKeyDictionary[BaseDatabaseWrapper, _Session] = WeakKeyDictionary()


@contextmanager
def _whole(pgconn: "PGconn") -> Iterator[None]:
    """Close the connection on an error: nobody could tell whose answers come then."""
    try:
        yield
    except BaseException:
        pgconn.finish()
        raise


def _results(pgconn: "PGconn") -> "PQGen[list[PGresult]]":
    """Send what is queued; collect the result of each command up to the sync."""
    found: list[PGresult] = []
    while True:
        unsent = pgconn.flush()
        ready = yield Wait.RW if unsent else Wait.R
        if not ready & Wait.R:
            continue
        pgconn.consume_input()
        ended = False
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # the end of one command's results; twice: of all
                if ended:
                    break
                ended = True
                continue
            ended = False
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return found
            found.append(result)


class _JsonbLoader(Loader):
    """Reads jsonb: a byte that names the format's version, then JSON."""

    format = _BINARY

    def load(self, data: "Buffer") -> object:
        return msgspec.json.decode(memoryview(data)[1:])


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
    return sqlstate(error) in {"40001", "40P01", _UNKNOWN_STATEMENT}


def is_data_error(error: BaseException) -> bool:
    """Return whether the data are at fault (SQLSTATE classes 22 and 23)."""
    return sqlstate(error)[:2] in {"22", "23"}


def columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Return rows as lists of columns, for unnest."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
