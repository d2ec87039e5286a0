"""The compiled ruleset of this process, never older than the lock that reads it."""

from typing import Final

from django.conf import settings

from campaigns.deciding import database
from campaigns.deciding.database import Call, call
from campaigns.domain.documents import Document, parse_document
from campaigns.domain.ruleset import Policy, Ruleset, Version
from campaigns.domain.states import RuleStatus
from campaigns.models import Company, IngestState, Rule, RuleVersion, Sender, Topic

RULESET_LOCK: Final = 7_301_001

_documents: dict[int, Document] = {}
_latest: Ruleset | None = None


def locks(*, exclusive: bool) -> tuple[Call, ...]:
    """Lock the ruleset until the commit, for reading or to change it.

    The last statement returns its number, and which generation of dedupe keys is
    the current one: a statement of its own, with a snapshot of its own, so that
    whoever had to wait for a publish reads what it wrote.
    """
    lock = "lock_ruleset" if exclusive else "lock_ruleset_shared"
    return (call(lock, lock=RULESET_LOCK), call("ruleset_number"))


def lock_exclusive() -> None:
    """Lock the ruleset for a change: no decision is under way when this returns."""
    database.run("lock_ruleset", lock=RULESET_LOCK)


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


def topic_name(topic: int) -> str:
    """Return what the topic is called in mails; '' if it is gone."""
    found = Topic.objects.filter(pk=topic).values_list("name", flat=True).first()
    return found or ""


def forget() -> None:
    """Drop what is compiled; for tests that start the database anew."""
    global _latest
    _latest = None
    _documents.clear()


def _compile(number: int) -> Ruleset:
    rules = {r.pk: r for r in Rule.objects.exclude(current=None)}
    providers = dict(Sender.objects.values_list("pk", "provider_id"))
    versions = {}
    for pk, rule, document in RuleVersion.objects.values_list("pk", "rule", "document"):
        parsed = _documents.get(pk)
        if parsed is None:
            parsed = _documents[pk] = parse_document(document)
        versions[pk] = Version(
            id=pk,
            rule=rule,
            document=parsed,
            provider=providers.get(parsed.sender, 0),
        )
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
