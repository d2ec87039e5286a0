"""The oldest PostgreSQL that this product works on, and a clear word on older ones.

Django itself goes on with PostgreSQL 14, leaves out the constraints that it cannot
write there, and every statement that relies on them fails later.
"""

from typing import Final

from django.db import NotSupportedError, connection

OLDEST: Final = 15


class ServerTooOld(Exception):
    """The database server lacks what the constraints are written in."""

    def __init__(self, major: int) -> None:
        super().__init__(
            f"The database is PostgreSQL {major}, which is too old. Use PostgreSQL "
            f"{OLDEST} or later (DATABASE_URL), or unset DATABASE_URL for the embedded "
            "one."
        )


def confirm() -> None:
    """Return if the server is new enough. Raises ServerTooOld, or a database error."""
    try:
        connection.ensure_connection()
    except NotSupportedError:  # older than what Django itself goes on with
        if connection.connection is None:
            raise
    major = connection.connection.info.server_version // 10_000
    if major < OLDEST:
        connection.close()
        raise ServerTooOld(major)
