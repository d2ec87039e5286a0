"""Put a restored database in order, so that nothing it holds is sent a second time.

Nobody else works meanwhile: the incarnation does not fit until the end, so that a
command that was cut short is begun again and nothing was sent between.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from django.db.models import F, Max, Q
from django.db.transaction import atomic

from campaigns.deciding import clock, database, incarnation, rulesets
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.ids import new_id
from campaigns.deciding.transaction import Decision, decide, roots
from campaigns.deciding.triggers import load_triggers
from campaigns.domain import people
from campaigns.domain.restored import (
    MAY_HAVE_LEFT,
    go_through,
    handed_over,
    may_have_left,
    may_have_sent_at,
    write_off,
)
from campaigns.domain.states import (
    AttemptState,
    JourneyState,
    MessageState,
    RuleStatus,
)
from campaigns.models import ClusterBeat, Event, IngestState, Journey, Message, Rule

logger = logging.getLogger(__name__)

BATCH: Final = 200
SKIPPED_IDS: Final = 10**11  # 115 days of 10,000 a second
SKIPPED_RULESETS: Final = 10**6
SKIPPED_ROWS: Final = 10**4  # of what people make: rules, versions, topics
MAY_LEAVE: Final = ("queued", "claimed", "sending")

Batch = Sequence[tuple[int, int]]


class EndsTooEarly(Exception):
    """The former database cannot have stopped before its own data end."""


@dataclass(slots=True)
class Outcome:
    """What was done: `since` is when the backup was made, as far as it shows."""

    since: datetime
    until: datetime
    mails: int = 0
    paused: list[str] = field(default_factory=list)


def put_in_order(*, until: datetime) -> Outcome:
    """Make `unknown` whatever may have left by `until`; then let work begin.

    Ids and numbers that were given away after the backup are left out. Safe to run
    again after a crash. Raises EndsTooEarly before anything is written.
    """
    with incarnation.allowed():
        found = incarnation.read()
        worked_until = _end_of_work()
        if worked_until is not None and until < worked_until:
            raise EndsTooEarly(worked_until)
        incarnation.note(incarnation.STOPPED, instead_of=found.noted)
        done = Outcome(_backup(worked_until, until), until)
        _skip_numbers()
        worked = True
        while worked:
            worked = _all(_lost_mails(until), partial(_write_off, done=done)) > 0
            worked |= _all(_lost_steps(until), partial(_plan, done=done)) > 0
        paused = Rule.objects.filter(status=RuleStatus.PAUSED).order_by("name")
        done.paused = list(paused.values_list("name", flat=True))
        incarnation.note(str(found), instead_of=incarnation.STOPPED)
    return done


def _backup(worked_until: datetime | None, until: datetime) -> datetime:
    """Return the last time that the data speak of: the backup is no older."""
    known: list[datetime | None] = [
        ClusterBeat.objects.aggregate(at=Max("sent_at"))["at"],
        IngestState.objects.get(pk=1).rotated_at,
        worked_until,
    ]
    return min(max(at for at in known if at is not None), until)


def _end_of_work() -> datetime | None:
    """Return the last time that only the former database can have written."""
    known: list[datetime | None] = [
        Message.objects.aggregate(at=Max("sending_at"))["at"],
        Event.objects.aggregate(at=Max("received_at"))["at"],
    ]
    return max((at for at in known if at is not None), default=None)


def _skip_numbers() -> None:
    """Give no number away twice: mails, links and caches know the former ones."""
    with atomic():
        rulesets.lock_exclusive()
        IngestState.objects.update(ruleset=F("ruleset") + SKIPPED_RULESETS)
        database.run("skip_ids", skip=SKIPPED_IDS)
        database.run("skip_rows", skip=SKIPPED_ROWS)


# --- what may have been sent --------------------------------------------------


def _lost_mails(until: datetime) -> Callable[[int], Batch]:
    due = Q(state__in=["claimed", "sending"]) | Q(not_before__lte=until)
    rows = Message.objects.filter(due, state__in=MAY_LEAVE).order_by("pk")
    return lambda after: list(
        rows.filter(pk__gt=after).values_list("pk", "customer_id")[:BATCH]
    )


def _lost_steps(until: datetime) -> Callable[[int], Batch]:
    asked = Q(wait_since__lte=until, woken_by=None)
    rows = Journey.objects.filter(
        Q(timer__due_at__lte=until) | asked,
        state=JourneyState.WAITING,
        rule__status=RuleStatus.ACTIVE,
    ).order_by("pk")
    return lambda after: list(
        rows.filter(pk__gt=after).values_list("pk", "customer_id")[:BATCH]
    )


def _all(pick: Callable[[int], Batch], work: Callable[[Decision, Batch], int]) -> int:
    """Do the work on all, batch by batch in the order of ids; return how many moved."""
    moved = after = 0
    while batch := pick(after):
        moved += decide(partial(_with_batch, work, batch))
        after = batch[-1][0]
    return moved


def _with_batch(
    work: Callable[[Decision, Batch], int], batch: Batch, decision: Decision
) -> int:
    return work(decision, batch)


def _write_off(decision: Decision, batch: Batch, *, done: Outcome) -> int:
    owners = roots(customer for _, customer in batch)
    decision.lock(owners.values())
    found = decision.load_mails(key for key, _ in batch)
    written: list[tuple[people.Mail, UUID]] = []
    for key, _ in batch:
        person, mail = found[key]
        state = decision.states[person]
        kept = mail.address_hash
        if kept is None and state.person.email:
            kept = address_hash(state.person.email)
        if kept is None or not may_have_left(mail, until=done.until):
            continue  # without an address the gate lets nothing go
        token = mail.token or uuid4()
        handed = handed_over(mail, token=token, address_hash=kept, now=decision.now)
        decision.states[person] = write_off(
            state, mail, handed, decision.rules, since=done.since
        )
        written.append((mail, token))
    _note_attempts(decision, written)
    done.mails += len(written)
    return len(written)


def _note_attempts(
    decision: Decision, written: Iterable[tuple[people.Mail, UUID]]
) -> None:
    """Write the calls that may have been made; a mail under way has its own."""
    written = list(written)
    calls = [(m, t) for m, t in written if m.state is not MessageState.SENDING]
    if calls:
        decision.later(
            "insert_attempts",
            now=decision.now,
            id=[token for _, token in calls],
            message_id=[mail.id for mail, _ in calls],
            number=[mail.attempt + 1 for mail, _ in calls],
            provider_id=[mail.provider for mail, _ in calls],
        )
    if written:
        decision.later(
            "end_attempts",
            now=decision.now,
            id=[token for _, token in written],
            state=[str(_ended(mail)) for mail, _ in written],
            status=[None] * len(written),
            detail=[MAY_HAVE_LEFT] * len(written),
        )


def _ended(mail: people.Mail) -> AttemptState:
    accepted = mail.evidence_at is not None
    return AttemptState.ACCEPTED if accepted else AttemptState.AMBIGUOUS


def _plan(decision: Decision, batch: Batch, *, done: Outcome) -> int:
    """Plan the mails that these journeys may have sent, to be written off next."""
    owners = roots(customer for _, customer in batch)
    decision.lock(owners.values())
    due = [
        (owners[customer], journey, at)
        for key, customer in batch
        if (journey := decision.states[owners[customer]].journeys.get(key))
        and journey.state is JourneyState.WAITING
        and (at := _at(decision, owners[customer], journey, done))
    ]
    triggers = load_triggers(journey.trigger for _, journey, _ in due)
    decision.ask_conditions((person, journey.version) for person, journey, _ in due)
    moved = 0
    for person, journey, at in due:
        try:
            decision.states[person] = go_through(
                decision.states[person],
                journey,
                triggers[journey.trigger.id].trigger,
                decision.rules,
                at=at,
                new_id=new_id,
            )
        except Exception:
            # The cluster cannot advance it either, so it sent nothing.
            logger.exception("journey %s could not be decided about", journey.id)
        else:
            moved += 1
    return moved


def _at(
    decision: Decision, person: int, journey: people.Journey, done: Outcome
) -> datetime | None:
    return may_have_sent_at(
        journey,
        decision.states[person],
        decision.rules,
        since=done.since,
        until=done.until,
    )


def now() -> datetime:
    """Return the present time of the database's clock."""
    with incarnation.allowed():
        return clock.now()
