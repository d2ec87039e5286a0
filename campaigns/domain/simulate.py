"""Run the engine in memory: the same decisions, nothing written, nothing sent.

A World is to the simulator what the database is to the live engine. Inputs are
what reached the engine from outside, and ticks; each names its own time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from msgspec.structs import replace

from campaigns.domain.answers import Accepted, Answer
from campaigns.domain.entry import Decision
from campaigns.domain.events import IncomingEvent, SourceRef
from campaigns.domain.gate import GateFacts, apply_verdict, gate
from campaigns.domain.intake import Intake, Stored, not_after
from campaigns.domain.people import Journey, Mail, State
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.settle import (
    apply_answer,
    apply_settled,
    see_evidence,
    take_back,
)
from campaigns.domain.states import CAPPED, Kind, MessageState, SuppressionReason
from campaigns.domain.steps import Trigger, advance, apply_advance
from campaigns.domain.stopping import resume, stop


@dataclass(frozen=True, slots=True)
class Post:
    """Events arrive, in this order, in one batch."""

    events: tuple[IncomingEvent, ...]
    source: SourceRef
    now: datetime


@dataclass(frozen=True, slots=True)
class SetRules:
    """Rules are published, paused or changed; a resume or archive names its rule."""

    rules: Ruleset
    now: datetime
    resumed: int | None = None
    archived: int | None = None


@dataclass(frozen=True, slots=True)
class Suppress:
    """An address must not be mailed, about one topic or (None) at all."""

    address: str
    reason: SuppressionReason
    topic: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Lift:
    """A suppression of an address ends."""

    address: str
    reason: SuppressionReason
    topic: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Choose:
    """A customer, by any of their events, subscribes to a topic or refuses it."""

    person: int
    topic: int
    subscribed: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The timers of these journeys (None: all that are due) are worked off."""

    now: datetime
    journeys: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """These mails (None: all that may leave the queue) come to the gate."""

    now: datetime
    mails: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """The provider answers for these mails (None: for all being handed over)."""

    now: datetime
    mails: tuple[int, ...] | None = None
    answer: Answer = field(default_factory=lambda: Accepted("simulated"))


@dataclass(frozen=True, slots=True)
class Rescue:
    """The workers that had claimed these mails, or were handing them over, ended."""

    now: datetime
    mails: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The provider reported something that proves that it took these mails."""

    now: datetime
    mails: tuple[int, ...]


Input = (
    Post | SetRules | Suppress | Lift | Choose | Due | Gate | Settle | Rescue | Evidence
)


@dataclass(slots=True)
class World:
    """All that the simulated engine knows."""

    rules: Ruleset
    stored: dict[int, Stored] = field(default_factory=dict)
    suppressions: set[tuple[str, SuppressionReason, int | None]] = field(
        default_factory=set
    )
    choices: dict[tuple[int, int], bool] = field(default_factory=dict)
    seen: set[tuple[int, str]] = field(default_factory=set)
    problem: Callable[[Mail, State], str] = lambda _mail, _state: ""
    moved: Callable[[Mail], bool] = lambda _mail: False
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        """Begin without people."""
        self.intake = Intake(rules=self.rules, new_id=count(1).__next__)

    def people(self) -> Iterator[State]:
        """Return the people that were not merged into others, the oldest first."""
        for key in sorted(self.intake.states):
            if self.intake.states[key].person.merged_into is None:
                yield self.intake.states[key]

    def owner(self, journey: int) -> State:
        """Return the person on the journey."""
        return next(s for s in self.people() if journey in s.journeys)

    def sender_of(self, mail: int) -> State:
        """Return the person whom the mail is for."""
        return next(s for s in self.people() if mail in s.mails)

    def put(self, state: State) -> None:
        """Keep the person's new state."""
        self.intake.states[state.person.id] = state

    def feed(self, given: Input) -> None:
        """Take one input."""
        match given:
            case Post():
                self._post(given)
            case SetRules():
                self._set_rules(given)
            case Suppress(address, reason, topic, _):
                self.suppressions.add((address, reason, topic))
            case Lift(address, reason, topic, _):
                self.suppressions.discard((address, reason, topic))
            case Choose(person, topic, subscribed, _):
                self.choices[self._root(person), topic] = subscribed
            case Rescue() | Evidence():
                self._recover(given)
            case _:
                self._work(given)

    def _work(self, given: Due | Gate | Settle) -> None:
        match given:
            case Due(now, journeys):
                for journey in self.due(now) if journeys is None else journeys:
                    self._advance(journey, now=now)
            case Gate(now, mails):
                for mail in self.queued(now) if mails is None else mails:
                    self._gate(mail, now=now)
            case Settle(now, mails, answer):
                for mail in self._sending() if mails is None else mails:
                    self._settle(mail, answer, now=now)

    def _recover(self, given: Rescue | Evidence) -> None:
        for mail in given.mails:
            if isinstance(given, Rescue):
                self._rescue(mail, now=given.now)
                continue
            state = self.sender_of(mail)
            seen = see_evidence(state.mails[mail], now=given.now)
            self.put(state.with_mail(seen))

    def _root(self, person: int) -> int:
        into = self.intake.states[person].person.merged_into
        return person if into is None else self._root(into)

    def _post(self, given: Post) -> None:
        already = len(self.intake.merged)
        for event in given.events:
            key = (given.source.id, event.message_id)
            if key in self.seen:
                continue
            self.seen.add(key)
            event_id = self.intake.new_id()
            self.stored[event_id] = self.intake.take(
                not_after(event, given.now),
                given.source,
                event_id=event_id,
                now=given.now,
            )
        for loser, winner in self.intake.merged[already:]:
            self._merge_choices(loser, self._root(winner))

    def _merge_choices(self, loser: int, winner: int) -> None:
        """Of two choices about a topic a refusal stays."""
        for person, topic in [k for k in self.choices if k[0] == loser]:
            said = self.choices.pop((person, topic))
            other = self.choices.get((winner, topic), True)
            self.choices[winner, topic] = said and other

    def _set_rules(self, given: SetRules) -> None:
        self.rules = self.intake.rules = given.rules
        for state in tuple(self.people()):
            if given.resumed is not None:
                self.put(resume(state, self.rules, rule=given.resumed, now=given.now))
            if given.archived is not None:
                cause = {"reason": "rule_archived"}
                self.put(stop(state, rule=given.archived, cause=cause, now=given.now))

    def due(self, now: datetime) -> list[int]:
        """Return the journeys whose timers are due, the oldest first."""
        due = [
            (j.due_at, j.id)
            for s in self.people()
            for j in s.journeys.values()
            if j.due_at is not None and j.due_at <= now
        ]
        return [journey for _, journey in sorted(due)]

    def queued(self, now: datetime) -> list[int]:
        """Return the mails that may leave the queue, the oldest first."""
        ready = [
            (m.not_before, m.id)
            for s in self.people()
            for m in s.mails.values()
            if m.state is MessageState.QUEUED
            and m.not_before is not None
            and m.not_before <= now
        ]
        return [mail for _, mail in sorted(ready)]

    def _sending(self) -> list[int]:
        return sorted(
            m.id
            for s in self.people()
            for m in s.mails.values()
            if m.state is MessageState.SENDING
        )

    def trigger_of(self, journey: Journey) -> Trigger:
        """Return the event that the journey speaks of."""
        event = self.stored[journey.trigger.id].event
        return Trigger(event.name, event.properties, event.context)

    def _advance(self, journey_id: int, *, now: datetime) -> None:
        state = self.owner(journey_id)
        journey = state.journeys[journey_id]
        result = advance(
            journey,
            state,
            self.trigger_of(journey),
            self.rules,
            now=now,
            new_id=self.intake.new_id,
        )
        self.put(apply_advance(state, journey, result, self.rules, now=now))

    def _gate(self, mail_id: int, *, now: datetime) -> None:
        state = self.sender_of(mail_id)
        mail = _claimed(state.mails[mail_id])
        verdict = gate(
            mail, state, self._facts(mail, state, now=now), self.rules, now=now
        )
        state = state.with_mail(replace(mail, address=state.person.email or ""))
        self.put(
            apply_verdict(state, state.mails[mail_id], verdict, self.rules, now=now)
        )

    def _facts(self, mail: Mail, state: State, *, now: datetime) -> GateFacts:
        address = state.person.email or ""
        version = self.rules.version(mail.version)
        topic = version.document.topic if version else None
        choice = None if topic is None else self.choices.get((state.person.id, topic))
        return GateFacts(
            trigger=self.trigger_of(state.journeys[mail.journey or 0]),
            suppressed=frozenset(
                reason
                for said, reason, about in self.suppressions
                if said == address and about in (None, topic)
            ),
            subscribed=choice,
            consented=choice is True,
            capped=self._capped(address, now=now),
            problem=self.problem(mail, state),
            context_moved=self.moved(mail),
        )

    def _capped(self, address: str, *, now: datetime) -> int:
        since = now - timedelta(days=self.rules.policy.cap_days)
        return sum(
            m.address == address
            and m.kind is Kind.MARKETING
            and m.state in CAPPED
            and m.sending_at is not None
            and m.sending_at > since
            for s in self.people()
            for m in s.mails.values()
        )

    def _settle(self, mail_id: int, answer: Answer, *, now: datetime) -> None:
        state = self.sender_of(mail_id)
        mail = state.mails[mail_id]
        after, _ = apply_answer(state, mail, answer, self.rules, now=now)
        self.put(after)

    def _rescue(self, mail_id: int, *, now: datetime) -> None:
        """Take back what a worker had; a claim alone leaves no trace here before."""
        state = self.sender_of(mail_id)
        mail = state.mails[mail_id]
        if mail.state is MessageState.QUEUED:
            mail = _claimed(mail)
        after = take_back(mail, now=now)
        self.put(apply_settled(state, mail, after, self.rules, now=now))

    def decisions(self) -> Iterator[tuple[Stored, Decision]]:
        """Return every decision made, with the event that it was made about."""
        for stored in self.stored.values():
            for decision in stored.decisions:
                yield stored, decision


def _claimed(mail: Mail) -> Mail:
    return mail.move(
        MessageState.CLAIMED, attempt=mail.attempt + 1, token=UUID(int=mail.id)
    )


def simulate(world: World, inputs: Iterable[Input]) -> World:
    """Feed the world with inputs, in their order, and return it."""
    for given in inputs:
        world.feed(given)
    return world
