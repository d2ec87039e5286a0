"""Whether this installation can do its work, and if not, why."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from campaigns.deciding import address_key, clock, incarnation, rulesets
from campaigns.models import ClusterBeat

logger = logging.getLogger(__name__)

_migrated = False
_complained = False  # that the database is ill; once, until it is well again


def reasons() -> dict[str, str]:
    """Return what is wrong, by part: database, migrations, restored, and so on.

    Empty when all is well. A part is not looked at while one before it is ill.
    Anybody may ask, so no address, user or error text is among them.
    """
    global _complained
    try:
        now = clock.now()
        found = _migrations() or _restored() or _address_key() or dead_clusters(now)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        if not _complained:
            _complained = True
            logger.warning("not ready, the database does not answer: %s", error)
        return {"database": "The database does not answer; the web log says why."}
    _complained = False
    return found


def warnings() -> dict[str, str]:
    """Return what harms one rule and stops no other, by rule; empty when all is well."""
    try:
        unreadable = rulesets.unreadable()
    except (DatabaseError, InterfaceError):
        return {}  # It went away just now; the next look says so.
    found: dict[str, list[str]] = {}
    for broken in unreadable:
        sentences = found.setdefault(f"rule {broken.rule}", [])
        sentences.append(
            f"Its version {broken.number} cannot be read and counts as paused: "
            f"{broken.problem}"
        )
    return {rule: " ".join(sentences) for rule, sentences in found.items()}


def unapplied() -> list[str]:
    """Return the names of the migrations that the database lacks, in their order."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [str(migration) for migration, _backwards in plan]


def _migrations() -> dict[str, str]:
    """Ask until all are applied; what was applied once stays so."""
    global _migrated
    missing = [] if _migrated else unapplied()
    _migrated = not missing
    if not missing:
        return {}
    return {
        "migrations": f"{len(missing)} are not applied, first {missing[0]}. "
        "Run: python manage.py migrate"
    }


def _restored() -> dict[str, str]:
    try:
        incarnation.confirm()
    except incarnation.Restored as restored:
        return {"restored": str(restored)}
    return {}


def _address_key() -> dict[str, str]:
    try:
        address_key.confirm()
    except address_key.AddressKeyChanged as changed:
        return {"address key": str(changed)}
    return {}


def dead_clusters(now: datetime) -> dict[str, str]:
    """Return why each cluster is thought not to work that does not, on any host."""
    working = [beat for beat in ClusterBeat.objects.all() if beat.works(now)]
    alive = {beat.name.partition("@")[0] for beat in working}
    return {
        f"cluster {name}": "No canary came back lately. Is `python manage.py cluster` "
        "running, and does it log errors?"
        for name in settings.CLUSTERS
        if name not in alive
    }
