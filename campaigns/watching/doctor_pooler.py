"""What stands between us and the database, and whether the settings know of it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from campaigns.watching.findings import Finding, error, good, warning

# PgBouncer's words for what a connection may not ask for as it begins; libpq gives
# no code for an error that comes before a connection.
REFUSES_OPTIONS: Final = "unsupported startup parameter"
PART: Final = "pooler"
MEND: Final = (
    "Set DATABASE_POOLED=yes for all processes, or use session mode, or connect to "
    "PostgreSQL itself."
)


def refused(away: BaseException) -> Finding | None:
    """Return what to say if a pooler turned us away, None if it was something else."""
    if REFUSES_OPTIONS not in str(away) or settings.DATABASE_POOLED:
        return None
    return error(
        PART,
        "DATABASE_URL leads to a pooler, which refuses what a connection to "
        "PostgreSQL itself asks for as it begins.",
        MEND,
    )


def pooler() -> Iterator[Finding]:
    """Tell whether something stands between us and the server, and which mode it has.

    PostgreSQL tells each client its process id at the start; a pooler in front
    makes one up, or hands on another server's.
    """
    own = server_of(connection)
    if connection.connection.info.backend_pid == own:
        yield _none_between()
    elif settings.DATABASE_POOLED:
        yield good(PART, "One is between; nothing is kept in a session.")
    elif changes_servers(own):
        yield error(
            PART,
            "One is between and changes servers between transactions, while we "
            "prepare statements by name: they fail now and then, or mean others.",
            MEND,
        )
    else:
        yield good(PART, "One is between, and seems to keep to one server each.")


def _none_between() -> Finding:
    if not settings.DATABASE_POOLED:
        return good(PART, "None between us and the server.")
    return warning(
        PART,
        "None between us and the server, yet DATABASE_POOLED is set: each statement "
        "is planned anew each time, for nothing.",
        "Unset it, unless a pooler that hides itself is between.",
    )


def changes_servers(own: int) -> bool:
    """Return whether another connection gets the server that was ours just now.

    A pooler in transaction mode hands out the server that was given back last. If
    somebody else was faster, the transaction that is open meanwhile still keeps one
    server from us, and ours changes.
    """
    other = connection.copy()
    with closing(other):
        other.set_autocommit(False)
        return server_of(other) == own or server_of(connection) != own


def server_of(which: BaseDatabaseWrapper) -> int:
    """Return the id of the PostgreSQL process that answers this connection."""
    with which.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    assert row is not None  # noqa: S101 - it always returns a row
    return int(row[0])
