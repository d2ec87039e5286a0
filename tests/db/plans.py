"""Reads PostgreSQL's plans: which indexes a statement uses, what it walks in full."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from django.db import connection

from campaigns.sql import FOLDER, load

BIG: Final = 10_000  # rows from which on a table must not be read in full
SWITCH: Final = (
    7  # after five plans of its own a prepared statement may get a general one
)
PARAMETER: Final = re.compile(rb"%\((\w+)\)[sbt]")


@dataclass(frozen=True)
class Tables:
    """What is big, and each index's name in comments: its parent's, if it has one."""

    big: frozenset[str]  # tables and indexes, each partition on its own
    indexes: Mapping[str, str] = field(repr=False)

    @property
    def names(self) -> set[str]:
        """Return the names that comments speak of."""
        return set(self.indexes.values())

    @classmethod
    def read(cls) -> "Tables":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'i')"
                " AND reltuples >= %s AND relnamespace = 'public'::regnamespace",
                [BIG],
            )
            big = frozenset(name for (name,) in cursor.fetchall())
            cursor.execute(
                "SELECT i.relname, COALESCE(p.relname, i.relname) FROM pg_class i"
                " LEFT JOIN pg_inherits h ON h.inhrelid = i.oid"
                " LEFT JOIN pg_class p ON p.oid = h.inhparent"
                " WHERE i.relkind IN ('i', 'I')"
            )
            return cls(big, dict(cursor.fetchall()))


@dataclass(frozen=True)
class Plan:
    """What a statement does."""

    used: frozenset[str]  # indexes
    walks: tuple[str, ...]  # big tables, and indexes of them, that it reads in full
    scanned: frozenset[str]  # tables read in their own order, be it to a first hit


def plans_of(name: str, params: Mapping[str, object], tables: Tables) -> list[Plan]:
    """Return the plan for these values, and the one that the engine's own use gets.

    The engine runs the files as prepared statements, which PostgreSQL may plan
    without the values after five times.
    """
    statement, order = numbered(load(name))
    missing = set(order) ^ set(params)
    assert not missing, f"{name}.sql and its values differ in {sorted(missing)}"
    connection.ensure_connection()
    cursor = psycopg.ClientCursor(connection.connection)
    cursor.execute("DEALLOCATE ALL")
    cursor.execute(b"PREPARE it AS " + statement)
    places = ", ".join(["%s"] * len(order))
    asked = "EXPLAIN (FORMAT JSON) EXECUTE it" + (f" ({places})" if order else "")
    values = [params[each] for each in order]
    found = []
    for _ in range(SWITCH):
        cursor.execute(asked, values or None)
        found.append(read(cursor.fetchone(), tables))
    return [found[0], found[-1]]


def plan_of(sql: str, tables: Tables) -> Plan:
    """Return the plan of a statement with its values in it."""
    with connection.connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql)
        return read(cursor.fetchone(), tables)


def numbered(statement: bytes) -> tuple[bytes, list[str]]:
    """Return the statement with $1, $2 ... for its parameters, and their order."""
    order: list[str] = []

    def place(found: re.Match[bytes]) -> bytes:
        name = found[1].decode()
        if name not in order:
            order.append(name)
        return b"$%d" % (order.index(name) + 1)

    return PARAMETER.sub(place, statement).replace(b"%%", b"%"), order


def read(row: Any, tables: Tables) -> Plan:
    """Return what matters of an EXPLAIN's answer."""
    ((answer,),) = row
    used, walks, scanned = set(), [], set()
    for node, few in nodes(answer["Plan"], few=False):
        kind = node["Node Type"]
        index = node.get("Index Name", "")
        used |= {index} | set(node.get("Conflict Arbiter Indexes", ()))
        if kind == "Seq Scan":
            scanned.add(node["Relation Name"])
            if node["Relation Name"] in tables.big and not few:
                walks.append(node["Relation Name"])
        if index in tables.big and "Index Cond" not in node and not few:
            walks.append(f"{index} from end to end")
    named = frozenset(tables.indexes[x] for x in used if x)
    return Plan(named, tuple(walks), frozenset(scanned))


def nodes(plan: Any, *, few: bool) -> Iterator[tuple[Any, bool]]:
    """Yield each node, and whether a limit above ends it after a few ordered rows."""
    yield plan, few
    kind = plan["Node Type"]
    # A sort or an aggregate reads all that is below it, whatever the limit above.
    stops = kind in {"Sort", "Aggregate", "Hash", "WindowAgg"}
    below = kind == "Limit" or (few and not stops)
    for child in plan.get("Plans", ()):
        yield from nodes(child, few=below)


def promised(name: str, tables: Tables) -> set[str]:
    """Return the indexes that the file's comment says it uses."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    said = " ".join(x.removeprefix("--") for x in lines if x.startswith("--"))
    # A unique key that is "the alarm" is none that the statement looks into.
    telling = [x for x in re.split(r"[.;]", said) if "alarm" not in x]
    return set(re.findall(r"\w+", " ".join(telling))) & tables.names


def by_primary_key(name: str) -> bool:
    """Return whether the file's comment says that it finds rows by primary key."""
    return "primary key" in (FOLDER / f"{name}.sql").read_text("utf-8")
