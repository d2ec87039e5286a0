"""The database: that it keeps what it acknowledges, has room, and tells the time."""

import os
from collections.abc import Iterator
from datetime import timedelta
from time import time as wall_clock  # noqa: TID251 - the host's own is what is checked
from typing import Any, Final

from django.conf import settings
from django.db import connection

from campaigns.deciding import clock
from campaigns.ingest import partitions
from campaigns.watching.findings import Finding, error, good, warning

FORGIVING: Final = {"local", "remote_write", "on", "remote_apply"}
MONTHS_AHEAD: Final = 2
CLOCKS_APART: Final = timedelta(seconds=2)
CLOCKS_ERROR: Final = timedelta(seconds=60)
LONG_TRANSACTION_S: Final = 300.0
OTHERS: Final = 6  # connections of a host's cluster processes beside its workers
RESERVED: Final = 10  # for people, backups and monitoring


def _ask(statement: str, *values: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        row = cursor.fetchone()
    assert isinstance(row, tuple)  # noqa: S101 - each of them returns a row
    return row


def setting(name: str) -> str:
    """Return the value of a setting of the server, as this connection has it."""
    return str(_ask("SELECT current_setting(%s)", name)[0])


def durability() -> Iterator[Finding]:
    """Look whether a commit survives a power cut."""
    part = "durability"
    if setting("fsync") != "on":
        yield error(
            part,
            "fsync is off: a power cut can destroy the database.",
            "Set fsync = on in postgresql.conf and reload.",
        )
    if setting("full_page_writes") != "on":
        yield error(
            part,
            "full_page_writes is off: a power cut can tear pages.",
            "Set full_page_writes = on, unless the file system writes atomically.",
        )
    commit = setting("synchronous_commit")
    if commit not in FORGIVING:
        yield error(
            part,
            f"synchronous_commit is {commit}: events answered 200 may be lost.",
            "Set synchronous_commit = on for this role or database.",
        )
    else:
        yield good(part, f"synchronous_commit is {commit}.")


def time_zone() -> Iterator[Finding]:
    """Look at the session's zone, which Django sets, and the server's default."""
    ((value,),) = (_ask("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'"),)
    if value not in ("UTC", "Etc/UTC", "GMT"):
        yield warning(
            "time zone",
            f"The default for new sessions is {value}.",
            "Nothing here relies on it, but psql shows other times than the logs: "
            "ALTER DATABASE … SET timezone = 'UTC'.",
        )
    else:
        yield good("time zone", "UTC.")


def needed_connections() -> int:
    """Return how many connections one host with web and clusters may open.

    A web worker has its threads, and the lane that commits single events; a cluster
    its workers, which call the provider by threads but decide in one.
    """
    web: int = settings.WEB_WORKERS * (settings.WEB_THREADS + 1)
    return web + settings.CLUSTER_WORKERS + settings.CLUSTER_FEEDBACK_WORKERS + OTHERS


def connections() -> Iterator[Finding]:
    """Look whether max_connections is enough for this host, and how many are in use."""
    (used,) = _ask(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = %s",
        "client backend",
    )
    most = int(setting("max_connections"))
    needed = needed_connections() + RESERVED
    if most < needed:
        yield error(
            "connections",
            f"max_connections is {most}; this host alone may need {needed}.",
            "Raise it, or lower WEB_WORKERS x WEB_THREADS, or put PgBouncer between.",
        )
    elif used > most * 0.8:
        yield warning(
            "connections",
            f"{used} of {most} are in use.",
            "Raise max_connections, or put PgBouncer between.",
        )
    else:
        yield good(
            "connections", f"{used} of {most} in use; this host may need {needed}."
        )


def difference_of_clocks() -> Iterator[Finding]:
    """Compare the host's clock with the database's, half a round trip later."""
    before = wall_clock()
    told = clock.now().timestamp()
    half_way = (before + wall_clock()) / 2
    apart = timedelta(seconds=abs(told - half_way))
    says = f"Host {os.uname().nodename} and database are {apart.total_seconds():.1f} s apart."
    mend = "Run an NTP client on both. Decisions use the database's clock alone; logs, sessions and TLS use the host's."
    if apart >= CLOCKS_ERROR:
        yield error("clocks", says, mend)
    elif apart >= CLOCKS_APART:
        yield warning("clocks", says, mend)
    else:
        yield good("clocks", says)


def old_transactions() -> Iterator[Finding]:
    """Look for a transaction that keeps dead rows from being cleared away."""
    (oldest,) = _ask(
        "SELECT COALESCE(EXTRACT(EPOCH FROM max(clock_timestamp() - xact_start)), 0)"
        " FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    if oldest > LONG_TRANSACTION_S:
        yield warning(
            "transactions",
            f"The oldest is open for {oldest:.0f} s.",
            "While it is, dead rows pile up. Find it in pg_stat_activity; set "
            "idle_in_transaction_session_timeout.",
        )
    else:
        yield good("transactions", "None is open for long.")


def partitions_ahead() -> Iterator[Finding]:
    """Look whether next month's events have a place to go."""
    month = partitions.month_of(clock.now())
    ahead = 0
    for number in range(MONTHS_AHEAD + 1):
        if not partitions.exists(month):
            break
        ahead = number
        month = partitions.next_month(month)
    else:
        yield good("partitions", f"Those of the next {ahead} months are there.")
        return
    yield warning(
        "partitions",
        f"That of {month:%Y-%m} is missing.",
        "Housekeeping in the mail cluster makes them each minute: does it run? "
        "Ingest makes a missing one itself, at the price of a pause.",
    )
