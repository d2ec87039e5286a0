"""What this product asks of a database server, and a clear word where it lacks.

Django itself goes on with PostgreSQL 14, leaves out the constraints that it cannot
write there, and every statement that relies on them fails later. So it does with a
database of another encoding, which refuses the first name that it cannot write.
"""

from typing import Final

from django.db import NotSupportedError, connection

OLDEST: Final = 15
ENCODING: Final = "UTF8"


class ServerUnfit(Exception):
    """The product cannot work on this database."""


class ServerTooOld(ServerUnfit):
    """The database server lacks what the constraints are written in."""

    def __init__(self, major: int) -> None:
        super().__init__(
            f"The database is PostgreSQL {major}, which is too old. Use PostgreSQL "
            f"{OLDEST} or later (DATABASE_URL), or unset DATABASE_URL for the embedded "
            "one."
        )


class WrongEncoding(ServerUnfit):
    """The database cannot store all that events may hold."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database's encoding is {encoding}; it must be {ENCODING}, or events "
            "with other letters are refused for ever. Make another: createdb "
            f"--encoding={ENCODING} --template=template0 --owner=emailtriggers "
            "emailtriggers"
        )


def confirm() -> None:
    """Return if the database is fit. Raises ServerUnfit, or a database error."""
    try:
        connection.ensure_connection()
    except NotSupportedError:  # older than what Django itself goes on with
        if connection.connection is None:
            raise
    major = connection.connection.info.server_version // 10_000
    if major < OLDEST:
        connection.close()
        raise ServerTooOld(major)
    encoding = connection.connection.info.parameter_status("server_encoding")
    if encoding not in {None, ENCODING}:
        connection.close()
        raise WrongEncoding(encoding)
