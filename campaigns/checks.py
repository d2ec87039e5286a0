"""System checks: what would fail late is said at the start."""

from collections.abc import Sequence
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

OLDEST_POSTGRESQL: Final = 15


@register(Tags.database)
def check_postgresql(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse a PostgreSQL that lacks what the constraints are written in."""
    if not databases or "default" not in databases:
        return []
    connections["default"].ensure_connection()
    version = connections["default"].connection.info.server_version // 10_000
    if version >= OLDEST_POSTGRESQL:
        return []
    return [
        Error(
            f"PostgreSQL {version} is too old.",
            hint=f"Use PostgreSQL {OLDEST_POSTGRESQL} or later.",
            id="campaigns.E001",
        )
    ]
