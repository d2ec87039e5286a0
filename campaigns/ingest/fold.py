"""Decide about new events in one transaction, and put off what is to be written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError
from msgspec.json import encode

from campaigns.deciding import database
from campaigns.deciding.database import call
from campaigns.deciding.ids import new_id
from campaigns.deciding.transaction import Decision, Restart
from campaigns.deciding.write import json_or_none
from campaigns.domain.events import IncomingEvent, SourceRef
from campaigns.domain.intake import Intake, Name, Stored, not_after
from campaigns.domain.matching import (
    Question,
    concerns_people,
    journey_questions,
    match,
    questions,
)
from campaigns.domain.people import EventRef
from campaigns.ingest import partitions
from campaigns.ingest.arrivals import Arrived, Link, links

# Events that nothing waits for, from which on they are worth a statement of their own.
WORTH_A_STATEMENT: Final = 20


class EventFailed(Exception):
    """One event of the batch cannot be decided about; the others can."""

    def __init__(self, event: IncomingEvent, source: SourceRef) -> None:
        super().__init__(event.message_id)
        self.event = event
        self.source = source


def decide_about(
    decision: Decision, fresh: Sequence[Arrived], known: dict[Name, int]
) -> None:
    """Decide about new events, one after another, and see to it that they are written.

    Those that neither a rule nor an identity waits for are stored meanwhile.
    """
    _claim(decision.intake, {n for each in fresh for n in each.names}, known)
    linked = links(fresh, known)
    concerned = _concerned(decision, fresh, linked)
    decision.lock(concerned)
    now = decision.now
    partitions.require(now)
    decision.ask(_asked(decision, fresh, linked, concerned))
    numbered = [(each, new_id()) for each in fresh]
    waited: list[tuple[Arrived, int]] = []
    plain: list[Stored] = []
    for each, event_id in numbered:
        owner = known.get(each.names[0])
        if owner is None or owner in concerned:
            waited.append((each, event_id))
        else:
            event = not_after(each.event, now)
            ref = EventRef(event_id, now, event.occurred_at)
            plain.append(Stored(event, each.source, ref, owner, ()))
    if waited and len(plain) >= WORTH_A_STATEMENT:
        with database.meanwhile(call("insert_events", **_columns(plain, now=now))):
            stored = _fold(decision, waited)
    else:
        stored = [*_fold(decision, waited), *plain]
    _write_identities(decision, known)
    decision.later("insert_events", **_columns(stored, now=now))
    _write_counts(decision, stored)
    order = [[each.source.id, event_id] for each, event_id in numbered]
    decision.note("events", {"events": order})


def _concerned(
    decision: Decision, fresh: Sequence[Arrived], linked: Sequence[Link]
) -> set[int]:
    """Return the people about whom something may change."""
    rules = decision.rules
    return {
        person
        for each, link in zip(fresh, linked, strict=True)
        if link.moves or concerns_people(rules, each.event)
        for person in link.people
    }


def _fold(decision: Decision, waited: Iterable[tuple[Arrived, int]]) -> list[Stored]:
    """Decide about events, one after another, each with its id."""
    stored = []
    for each, event_id in waited:
        event = not_after(each.event, decision.now)
        try:
            taken = decision.intake.take(
                event, each.source, event_id=event_id, now=decision.now
            )
        except (DatabaseError, Restart):
            raise
        except Exception as error:  # one event must not stop the others
            raise EventFailed(each.event, each.source) from error
        stored.append(taken)
    return stored


def _claim(intake: Intake, names: set[Name], known: dict[Name, int]) -> None:
    """Claim the names that nobody has, for people who are born if an event says so."""
    intake.identities.update(known)
    unknown = sorted(n for n in names if n not in known)
    if not unknown:
        return
    for name in unknown:
        intake.identities[name] = new_id()
        intake.unborn.add(intake.identities[name])
    claim = call(
        "claim_identities",
        namespace=[n.namespace for n in unknown],
        value=[n.value for n in unknown],
        customer_id=[intake.identities[n] for n in unknown],
    )
    if database.run_all([claim])[0].count < len(unknown):
        raise Restart


def _asked(
    decision: Decision,
    fresh: Sequence[Arrived],
    linked: Sequence[Link],
    concerned: set[int],
) -> dict[int, set[Question]]:
    rules = decision.rules
    asked: dict[int, set[Question]] = {}
    for each, link in zip(fresh, linked, strict=True):
        people = link.people & concerned
        touches = match(rules, each.event)
        if not people or not (touches.entries or len(people) > 1):
            continue
        event = not_after(each.event, decision.now)
        wanted = set(questions(touches, event, now=decision.now))
        if len(people) > 1:
            for person in people:
                journeys = decision.states[person].journeys.values()
                wanted |= journey_questions(rules, journeys)
        if wanted:
            for person in people:
                asked.setdefault(person, set()).update(wanted)
    return asked


def _write_identities(decision: Decision, known: dict[Name, int]) -> None:
    """Give names to whom the decisions gave them, where the database says otherwise."""
    intake = decision.intake
    moved = [
        (name, owner)
        for name, owner in sorted(intake.identities.items())
        if known.get(name) != owner
    ]
    if moved:
        decision.later(
            "move_identities",
            namespace=[n.namespace for n, _ in moved],
            value=[n.value for n, _ in moved],
            customer_id=[owner for _, owner in moved],
        )


def _columns(stored: Sequence[Stored], *, now: datetime) -> dict[str, Any]:
    """Return the parameters of insert_events."""
    return {
        "now": now,
        "id": [s.ref.id for s in stored],
        "customer_id": [s.person for s in stored],
        "source_id": [s.source.id for s in stored],
        "type": [str(s.event.type) for s in stored],
        "name": [s.event.name for s in stored],
        "message_id": [s.event.message_id for s in stored],
        "occurred_at": [s.event.occurred_at for s in stored],
        "properties": [encode(s.event.properties) for s in stored],
        "context": [encode(s.event.context) for s in stored],
        "traits": [json_or_none(s.event.traits or None) for s in stored],
        "decisions": [
            json_or_none([d.as_json() for d in s.decisions] or None) for s in stored
        ],
        "notes": [json_or_none(s.event.notes or None) for s in stored],
    }


def _write_counts(decision: Decision, stored: Iterable[Stored]) -> None:
    counts = Counter((d.rule, str(d.reason)) for s in stored for d in s.decisions)
    if counts:
        rows = [(rule, reason, n) for (rule, reason), n in sorted(counts.items())]
        rules, reasons, numbers = database.columns(rows, 3)
        decision.later(
            "insert_counts",
            now=decision.now,
            rule_id=rules,
            reason=reasons,
            count=numbers,
        )
