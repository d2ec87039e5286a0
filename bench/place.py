"""A database that this process's Django can be led to, and back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.utils import load_backend

from bench.results import WrongResult
from bench.stage import Stage
from campaigns.deciding import ids, marks, rulesets
from campaigns.ingest import partitions
from campaigns.receive.auth import KEYS

FIRST_ID: Final = 1_000_000_000  # of rows that the engine makes; ours are below


class Place:
    """A copy of the migrated database, for one side of a comparison."""

    def __init__(self, stage: Stage, name: str) -> None:
        """Name the database; `here` leads to it."""
        self.name = name
        self.url = stage.url(name)
        known = deepcopy(connections.settings[DEFAULT_DB_ALIAS])
        known["NAME"] = name
        backend = load_backend(known["ENGINE"])
        self._connection = backend.DatabaseWrapper(known, DEFAULT_DB_ALIAS)

    def at(self, host: str, port: int) -> None:
        """Have the next connection lead there by another way."""
        self._connection.settings_dict |= {"HOST": host, "PORT": str(port)}

    def options(self, options: Mapping[str, object]) -> None:
        """Have the next connection opened with these options of psycopg's."""
        self._connection.settings_dict["OPTIONS"] = dict(options)

    @contextmanager
    def here(self) -> Iterator[None]:
        """Let Django's connection of this thread lead here, and nothing be remembered."""
        usual = connections[DEFAULT_DB_ALIAS]
        connections[DEFAULT_DB_ALIAS] = self._connection
        forget()
        try:
            yield
        finally:
            connections[DEFAULT_DB_ALIAS] = usual
            forget()

    def close(self) -> None:
        """Close the connection, so that the database can be dropped."""
        self._connection.close()


def forget() -> None:
    """Drop what this process remembers of a database."""
    for memory in (rulesets, marks, partitions, ids):
        memory.forget()
    KEYS.forget()


@contextmanager
def places(stage: Stage, *purposes: str) -> Iterator[list[Place]]:
    """Make a database for each purpose; drop them at the end."""
    with ExitStack() as stack:
        found = []
        for purpose in purposes:
            place = Place(stage, stack.enter_context(stage.copy(purpose)))
            stack.callback(place.close)
            with place.here():
                execute("SELECT setval('campaigns_ids', %s)", FIRST_ID)
            found.append(place)
        yield found


def execute(statement: str, *values: Any) -> None:
    """Run a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values) or None)


def rows(query: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, list(values) or None)
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return found


def count(table: str, where: str = "true") -> int:
    """Return how many rows a table of the product has, of some kind."""
    ((found,),) = rows(f"SELECT count(*) FROM campaigns_{table} WHERE {where}")  # noqa: S608
    return int(found)


def expect(what: str, found: object, wanted: object) -> None:
    """Raise WrongResult unless both are equal."""
    if found != wanted:
        raise WrongResult(f"{what}: {found}, and not {wanted}")
