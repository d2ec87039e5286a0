"""What a door answers 503 to: the database cannot be reached, come again."""

from typing import Final

import psycopg
from django.db import InterfaceError, OperationalError, connection

from campaigns.deciding.database import DatabaseAway

RETRY_AFTER_S: Final = 30  # asked of mailboxes and providers
AWAY: Final = (
    DatabaseAway,
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


def distrust_connection() -> None:
    """Let Django test this thread's connection before it is used again."""
    connection.errors_occurred = True
