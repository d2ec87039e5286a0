"""Look a deployment over; every check by itself, so that one cannot hide another."""

import logging
from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from campaigns.deciding import server_version
from campaigns.reports.readiness import unapplied
from campaigns.watching import doctor_database, doctor_host, doctor_pooler, doctor_work
from campaigns.watching.findings import Check, Finding, error, good

logger = logging.getLogger(__name__)

WITHOUT_DATABASE: Final[tuple[Check, ...]] = (
    doctor_host.public_url,
    doctor_host.disk,
    doctor_host.cache,
    doctor_host.metrics,
    doctor_work.provider_key,
)
WITH_DATABASE: Final[tuple[Check, ...]] = (
    doctor_database.durability,
    doctor_database.time_zone,
    doctor_database.connections,
    doctor_pooler.pooler,
    doctor_database.difference_of_clocks,
    doctor_database.old_transactions,
)
WITH_TABLES: Final[tuple[Check, ...]] = (
    doctor_database.partitions_ahead,
    doctor_work.incarnation_fits,
    doctor_work.address_key_fits,
    doctor_work.clusters,
    doctor_work.providers,
    doctor_work.webhooks,
    doctor_work.senders,
    doctor_work.attention,
)


def look() -> Iterator[Finding]:
    """Yield what is found. Changes nothing, and sends nothing."""
    for check in WITHOUT_DATABASE:
        yield from _findings(check)
    try:
        server_version.confirm()
        major = connection.connection.info.server_version // 10_000
    except server_version.ServerUnfit as unfit:
        says, _, mend = str(unfit).partition(". ")
        yield error("database", f"{says}.", mend)
        return
    except (DatabaseError, InterfaceError) as away:
        logger.info("the database does not answer: %s", away)
        yield doctor_pooler.refused(away) or _away(type(away).__name__)
        return
    which = " It is the embedded one: DATABASE_URL is not set."
    says = f"PostgreSQL {major} answers.{which if settings.EMBEDDED else ''}"
    yield good("database", says)
    for check in WITH_DATABASE:
        yield from _findings(check)
    missing = unapplied()
    if missing:
        yield error(
            "migrations",
            f"{len(missing)} are not applied, first {missing[0]}.",
            "Run: python manage.py migrate",
        )
        return
    yield good("migrations", "All are applied.")
    for check in WITH_TABLES:
        yield from _findings(check)
    yield good(
        "backups",
        "Cannot be seen from here. Do they run, and was one restored lately?",
    )


def _away(why: str) -> Finding:
    if not settings.EMBEDDED:
        return error(
            "database",
            f"It does not answer ({why}).",
            "Is it running, and is DATABASE_URL right? All else waits for it.",
        )
    return error(
        "database",
        "DATABASE_URL is not set; this looks at the embedded database in "
        f"{settings.EMBEDDED_PG_DIR}, which does not answer ({why}).",
        "Give the doctor what the deployment has: under systemd by "
        "`ops/systemd/manage doctor`. Or start `make run`.",
    )


def _findings(check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as failed:
        logger.exception("the check %s failed", check.__name__)
        if not connection.in_atomic_block:
            connection.close()
        yield error(
            check.__name__,
            f"Could not be looked at ({type(failed).__name__}).",
            "The log says why.",
        )
