"""How connections to PostgreSQL are opened: straight, or through a pooler.

Nobody tells a host that another one lost power or its network, so both sides ask:
ours by what libpq is told, PostgreSQL's by settings that go along with the start of a
connection. Without them it is two hours until a server lets the locks of a lost host
go (tcp_keepalives_idle), and as long until a process that waits for an answer gives up.
"""

from collections.abc import Mapping
from typing import Final

# A side that hears nothing for QUIET_S asks every ASK_S; LOST_MS without an answer to
# that, or to what was sent, and the other side is lost.
QUIET_S: Final = 5
ASK_S: Final = 5
ASKS: Final = 3
LOST_MS: Final = 15_000
# Longer than any transaction of ours thinks between two statements. A host that is
# frozen answers keepalives all the same.
IDLE_TRANSACTION: Final = "120s"

CLIENT: Final[Mapping[str, object]] = {
    "connect_timeout": 5,
    # Else psycopg keeps the latest 100 texts of each connection, to see which come
    # again; the ORM binds on the client, so each holds its values: whole webhooks.
    "prepare_threshold": None,
    "keepalives_idle": QUIET_S,
    "keepalives_interval": ASK_S,
    "keepalives_count": ASKS,
    "tcp_user_timeout": LOST_MS,
}
SERVER: Final[Mapping[str, object]] = {
    # One plan for all values: ours go by keys (see campaigns.deciding.database).
    "plan_cache_mode": "force_generic_plan",
    "tcp_keepalives_idle": QUIET_S,
    "tcp_keepalives_interval": ASK_S,
    "tcp_keepalives_count": ASKS,
    "tcp_user_timeout": LOST_MS,
    "idle_in_transaction_session_timeout": IDLE_TRANSACTION,
}


def straight(process: str) -> dict[str, object]:
    """Return psycopg's options for connections to PostgreSQL itself."""
    return {
        **CLIENT,
        "application_name": process,
        "options": " ".join(f"-c {name}={value}" for name, value in SERVER.items()),
    }


def pooled(process: str) -> dict[str, object]:
    """Return them for a pooler that changes servers between transactions.

    Nothing may be kept in a session, so nothing is prepared by name, and a session's
    settings are the pooler's own to give (ops/pgbouncer). Transactions bring theirs.
    """
    return {**CLIENT, "application_name": process}
