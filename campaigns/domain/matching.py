"""Which rules an event touches, and what must be known to decide about it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from campaigns.domain.conditions import history_questions
from campaigns.domain.events import IncomingEvent, SourceRef, Trust
from campaigns.domain.people import Journey
from campaigns.domain.ruleset import Ruleset, Version
from campaigns.domain.timing import elapsed

PAST_LIMIT: Final = 1000


class Touches(Struct, frozen=True):
    """The versions that an event may start.

    Exits, wakes and goals are looked for in the journeys that the person has.
    """

    entries: tuple[Version, ...] = ()


class Question(Struct, frozen=True, order=True):
    """Asks for a person's events of one name since a time (newest PAST_LIMIT)."""

    name: str
    since: datetime


def match(rules: Ruleset, event: IncomingEvent) -> Touches:
    """Return the rules that the event touches."""
    return Touches(entries=rules.entries.get(event.name, ()) if event.name else ())


def concerns_people(rules: Ruleset, event: IncomingEvent) -> bool:
    """Return whether the event can change a decision about its person."""
    return bool(event.of_customer) or event.name in rules.names


def questions(
    touches: Touches, event: IncomingEvent, *, now: datetime
) -> frozenset[Question]:
    """Return what must be known of the person's past to decide these entries."""
    asked: set[Question] = set()
    for version in touches.entries:
        doc = version.document
        for need in history_questions(doc.condition):
            asked.add(Question(need.name, now - elapsed(need.within)))
        asked.update(Question(n, event.occurred_at) for n in version.later_names)
    return frozenset(asked)


def journey_questions(
    rules: Ruleset, journeys: Iterable[Journey]
) -> frozenset[Question]:
    """Return what must be known of a person who joins another under way."""
    return frozenset(
        Question(name, journey.event.occurred_at)
        for journey in journeys
        if journey.watched_until is not None
        if (version := rules.version(journey.version))
        for name in version.later_names
    )


def exit_questions(version: Version, journey: Journey) -> frozenset[Question]:
    """Return what must be known to look for a journey's exit again."""
    exits = version.document.exit
    names = exits.events if exits else ()
    return frozenset(Question(name, journey.event.occurred_at) for name in names)


def condition_questions(version: Version, *, now: datetime) -> frozenset[Question]:
    """Return what must be known to look at all conditions of a version again."""
    doc = version.document
    conditions = [doc.condition, *(v.condition for s in doc.steps for v in s.variants)]
    return frozenset(
        Question(need.name, now - elapsed(need.within))
        for condition in conditions
        for need in history_questions(condition)
    )


def source_allowed(version: Version, source: SourceRef) -> bool:
    """Return whether events of this source may start the rule."""
    trigger = version.document.trigger
    if source.trust is Trust.PUBLIC and not trigger.public:
        return False
    return trigger.sources is None or source.id in trigger.sources
