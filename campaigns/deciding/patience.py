"""How long a look may take: statements that the database ends by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import OperationalError, connection

from campaigns.deciding.database import sqlstate

_CANCELLED: Final = "57014"
_SET: Final = "SELECT set_config('statement_timeout', %s, true)"
_BEGIN: Final = (
    "WITH old AS MATERIALIZED (SELECT current_setting('statement_timeout') AS was)"
    " SELECT was, set_config('statement_timeout', %s, true) FROM old"
)


@contextmanager
def no_longer_than(ms: int) -> Iterator[None]:
    """Let no statement of the block take longer; needs a transaction.

    What role, connection or an outer block said holds again behind it; after an
    error the rollback sees to that.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [str(ms)])
        before, _ = cursor.fetchone()
    yield
    with connection.cursor() as cursor:
        cursor.execute(_SET, [before])


def took_too_long(error: OperationalError) -> bool:
    """Return whether the database ended the statement for the time that it took."""
    return sqlstate(error) == _CANCELLED
