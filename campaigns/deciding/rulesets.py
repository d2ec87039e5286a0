"""The compiled ruleset of this process, never older than the lock that reads it.

A version whose stored document is refused (by a stricter schema than the one it
was published under, or because somebody changed it) is held apart, so that it
stops no decision of others.
"""

import logging
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from campaigns.deciding import database
from campaigns.deciding.database import Call, call
from campaigns.domain.documents import Document, DocumentInvalid, parse_document
from campaigns.domain.ruleset import Policy, Ruleset, Version
from campaigns.domain.states import RuleStatus
from campaigns.models import Company, IngestState, Rule, RuleVersion, Sender

logger = logging.getLogger(__name__)

RULESET_LOCK: Final = 7_301_001
# Reads the ruleset's number, the current generation of dedupe keys, and the time. Not
# with the lock: a statement of its own has a snapshot of its own, so that whoever had to
# wait for a publish reads what it wrote.
STATE: Final = call("ruleset_number")
MAX_PROBLEM: Final = 500

_documents: dict[int, Document] = {}
_latest: Ruleset | None = None
_unreadable: "dict[int, Unreadable]" = {}
_logged: set[int] = set()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A version whose document cannot be read, of which rule, and why."""

    version: int
    number: int
    rule: int
    problem: str


def lock(*, exclusive: bool) -> Call:
    """Lock the ruleset until the commit, for reading or to change it."""
    name = "lock_ruleset" if exclusive else "lock_ruleset_shared"
    return call(name, lock=RULESET_LOCK)


def lock_exclusive() -> None:
    """Lock the ruleset for a change: no decision is under way when this returns."""
    database.run_all([lock(exclusive=True)])


def bump() -> int:
    """Raise the ruleset's number; every later decision reloads. Needs the lock."""
    ((number,),) = database.run("bump_ruleset")
    return int(number)


def at(number: int) -> Ruleset:
    """Return the ruleset of that number, read anew if it moved. Needs the lock."""
    global _latest
    found = _latest
    if found is None or found.number != number:
        found = _latest = _compile(number)
    return found


def published(version: int) -> Version | None:
    """Return a version by its id, without a lock: versions never change."""
    if _latest is not None and version in _latest.versions:
        return _latest.versions[version]
    number = IngestState.objects.values_list("ruleset", flat=True).get(pk=1)
    return at(number).versions.get(version)


def unreadable() -> list[Unreadable]:
    """Return the versions that cannot be read and so count as paused. Takes no lock."""
    number = IngestState.objects.values_list("ruleset", flat=True).get(pk=1)
    at(number)
    found = _unreadable  # another thread may put a newer one in its place
    return [found[key] for key in sorted(found)]


def forget() -> None:
    """Drop what is compiled; for tests that start the database anew."""
    global _latest
    _latest = None
    for memory in (_documents, _unreadable, _logged):
        memory.clear()


def _read_documents() -> dict[int, tuple[int, Document]]:
    """Return (rule, document) of every version that can be read; note the others."""
    global _unreadable
    found: dict[int, tuple[int, Document]] = {}
    refused: dict[int, Unreadable] = {}
    versions = list(RuleVersion.objects.values_list("pk", "number", "rule"))
    unread = [pk for pk, _, _ in versions if pk not in _documents]
    chosen = RuleVersion.objects.filter(pk__in=unread)
    documents = dict(chosen.values_list("pk", "document"))
    for pk, number, rule in versions:
        try:
            if pk not in _documents:
                _documents[pk] = parse_document(documents[pk])
            found[pk] = (rule, _documents[pk])
        except DocumentInvalid as error:
            refused[pk] = Unreadable(pk, number, rule, str(error)[:MAX_PROBLEM])
    for pk in refused.keys() - _logged:
        _log(refused[pk])
    _unreadable = refused
    return found


def _log(broken: Unreadable) -> None:
    """Write one line for each version, however often it is found."""
    _logged.add(broken.version)
    logger.error(
        "version %s of rule %s cannot be read and counts as paused: %s",
        broken.number,
        broken.rule,
        broken.problem,
    )


def _compile(number: int) -> Ruleset:
    rules = {r.pk: r for r in Rule.objects.exclude(current=None)}
    providers = dict(Sender.objects.values_list("pk", "provider_id"))
    versions = {
        pk: Version(
            id=pk,
            rule=rule,
            document=document,
            provider=providers.get(document.sender, 0),
        )
        for pk, (rule, document) in _read_documents().items()
    }
    company = Company.objects.filter(pk=1).first() or Company()
    return Ruleset(
        number=number,
        versions=versions,
        current={pk: r.current_id for pk, r in rules.items() if r.current_id},
        statuses={pk: RuleStatus(r.status) for pk, r in rules.items()},
        policy=Policy(
            time_zone=company.time_zone,
            cap_messages=company.cap_messages,
            cap_days=company.cap_days,
            speed=settings.DEMO_SPEED,
        ),
    )
