"""System checks: what would fail late is said at the start."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import ProgrammingError
from django.db.transaction import atomic

from campaigns.deciding import address_key, server_version
from campaigns.sending.claim import BEGIN_MARGIN_S


@register(Tags.database)
def check_postgresql(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse a PostgreSQL that is too old, or a database that is not UTF8."""
    if not databases or "default" not in databases:
        return []
    try:
        server_version.confirm()
    except server_version.ServerUnfit as unfit:
        return [Error(str(unfit), id="campaigns.E001")]
    return []


@register(Tags.database)
def check_address_key(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse a key under which no suppression in the database would hold."""
    if not databases or "default" not in databases:
        return []
    try:
        with atomic():
            address_key.confirm()
    except address_key.AddressKeyChanged as changed:
        return [Error(str(changed), id="campaigns.E002")]
    except ProgrammingError:
        return []  # the migrations that are about to run make the table
    return []


@register()
def check_dispatch_times(**_: Any) -> list[CheckMessage]:
    """POST deadline < lease < task time-out < retry, or a mail could leave twice."""
    deadline, lease = settings.POST_DEADLINE_S, settings.LEASE_S
    timeout, retry = settings.TASK_TIMEOUT_S, settings.TASK_RETRY_S
    found: list[CheckMessage] = []
    if deadline >= BEGIN_MARGIN_S or lease < deadline + BEGIN_MARGIN_S:
        found.append(
            Error(
                f"POST_DEADLINE_S is {deadline} and LEASE_S is {lease}.",
                hint=f"The deadline must be under {BEGIN_MARGIN_S}, and the lease "
                f"{BEGIN_MARGIN_S} or more above it.",
                id="campaigns.E101",
            )
        )
    if not lease < timeout < retry:
        found.append(
            Error(
                f"LEASE_S is {lease}, TASK_TIMEOUT_S {timeout}, TASK_RETRY_S {retry}.",
                hint="They must grow in this order.",
                id="campaigns.E102",
            )
        )
    return found
