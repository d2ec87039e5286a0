"""Fold incoming events, in arrival order, into the people they belong to.

An Intake is the working set of one deciding transaction, or of the whole
simulated world: the same code decides in both. It changes only itself; who
made it writes what changed, or throws it away when an event fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from campaigns.domain.addresses import AddressInvalid, validate
from campaigns.domain.entry import Arrival, Decision
from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.domain.matching import match
from campaigns.domain.merging import merge
from campaigns.domain.people import EventRef, Person, State, bucket_of
from campaigns.domain.react import react
from campaigns.domain.ruleset import Ruleset


class Namespace(IntEnum):
    """Where a name comes from."""

    USER = 0
    ANONYMOUS = 1


class Name(NamedTuple):
    """A name that a customer goes by."""

    namespace: int
    value: str

    @property
    def text(self) -> str:
        """Return the form that `born_as` keeps."""
        return f"{'user' if self.namespace == Namespace.USER else 'anon'}:{self.value}"


class Stored(Struct, frozen=True):
    """An event as it is to be written, with its person and its decisions."""

    event: IncomingEvent
    source: SourceRef
    ref: EventRef
    person: int
    decisions: tuple[Decision, ...]


def names_of(event: IncomingEvent, source: SourceRef) -> tuple[Name, ...]:
    """Return the names that an event speaks of, the strongest first.

    An alias's previous id may be a user's or an anonymous one: both names are
    taken, so that nothing is decided by the absence of either.
    """
    names = []
    if event.user_id:
        names.append(Name(Namespace.USER, event.user_id))
    if event.anonymous_id:
        names.append(Name(Namespace.ANONYMOUS, event.anonymous_id))
    if event.type is EventType.ALIAS and event.previous_id:
        if source.trust is Trust.SECRET:
            names.append(Name(Namespace.USER, event.previous_id))
        names.append(Name(Namespace.ANONYMOUS, event.previous_id))
    return tuple(dict.fromkeys(names)) if len(names) > 1 else tuple(names)


def not_after(event: IncomingEvent, now: datetime) -> IncomingEvent:
    """Return the event, having occurred no later than it is received."""
    return event if event.occurred_at <= now else replace(event, occurred_at=now)


@dataclass(slots=True)
class Intake:
    """People by id, names by value; `unborn` are ids claimed but not yet people."""

    rules: Ruleset
    new_id: Callable[[], int]
    states: dict[int, State] = field(default_factory=dict)
    identities: dict[Name, int] = field(default_factory=dict)
    unborn: set[int] = field(default_factory=set)
    merged: list[tuple[int, int]] = field(default_factory=list)

    def take(
        self, event: IncomingEvent, source: SourceRef, *, event_id: int, now: datetime
    ) -> Stored:
        """Fold one event; return it as it is to be stored."""
        ref = EventRef(event_id, now, event.occurred_at)
        person_id = self._resolve(event, source, now=now)
        state = self.states[person_id]
        told = said_of(state.person, event, source)
        if told is not state.person:
            state = replace(state, person=told)
        state, decisions = react(
            state,
            Arrival(event, source, ref),
            match(self.rules, event),
            self.rules,
            now=now,
            new_id=self.new_id,
        )
        self.states[person_id] = state
        return Stored(event, source, ref, person_id, decisions)

    def _resolve(
        self, event: IncomingEvent, source: SourceRef, *, now: datetime
    ) -> int:
        """Return the person of the event, born, given names and merged as it says."""
        names = names_of(event, source)
        known: int | None = None
        for name in names:
            owner = self._owner(name)
            if owner is None or owner == known:
                continue
            if known is None:
                if self._may_take(owner, names, event, source):
                    known = owner
                continue
            if self._may_merge(known, owner, names, event, source):
                self._forget_claims(known, owner, source)
                known = self._merge(known, owner, now=now)
        if known is None:
            known = self._born(names[0], now=now)
        self._attach(names, known)
        return known

    def _owner(self, name: Name) -> int | None:
        person = self.identities.get(name)
        return None if person is None or person in self.unborn else person

    def _may_take(
        self,
        owner: int,
        names: tuple[Name, ...],
        event: IncomingEvent,
        source: SourceRef,
    ) -> bool:
        """Return whether a new user id may join the person of a known name.

        A shared device has one anonymous id and several users: the second
        user does not become the first.
        """
        first = names[0]
        if self._owner(first) == owner or first.namespace != Namespace.USER:
            return True
        person = self.states[owner].person
        if source.trust is Trust.PUBLIC:
            return not _guarded(person)
        return person.user_id is None or _joins_users(event, source)

    def _may_merge(
        self,
        known: int,
        owner: int,
        names: tuple[Name, ...],
        event: IncomingEvent,
        source: SourceRef,
    ) -> bool:
        """Return whether the event may make one of two people.

        Only a secret source's alias joins two known users. A public key can be
        used by anyone: it joins nobody to two guarded people, nor a user id
        that is new here to a guarded one.
        """
        a, b = self.states[known].person, self.states[owner].person
        if source.trust is Trust.PUBLIC:
            new_user = (
                names[0].namespace == Namespace.USER and self._owner(names[0]) is None
            )
            guarded = _guarded(a) + _guarded(b)
            return guarded == 0 if new_user else guarded < 2
        return a.user_id is None or b.user_id is None or _joins_users(event, source)

    def _forget_claims(self, one: int, other: int, source: SourceRef) -> None:
        """Before a public merge, drop the address that only the unguarded side has.

        Else who names an address for an anonymous id of their own, and then
        joins it to somebody known, had changed that person's address.
        """
        people = [self.states[one].person, self.states[other].person]
        guarded = [_guarded(person) for person in people]
        if source.trust is not Trust.PUBLIC or guarded[0] == guarded[1]:
            return
        person = people[guarded.index(False)]
        state = self.states[person.id]
        self.states[person.id] = replace(state, person=_without_email(person))

    def _merge(self, one: int, other: int, *, now: datetime) -> int:
        survivor, gone = merge(
            self.states[one], self.states[other], self.rules, now=now
        )
        winner, loser = survivor.person.id, gone.person.id
        self.states[winner], self.states[loser] = survivor, gone
        self.merged.append((loser, winner))
        for name, person in self.identities.items():
            if person == loser:
                self.identities[name] = winner
        return winner

    def _born(self, name: Name, *, now: datetime) -> int:
        claimed = self.identities.get(name)
        person_id = self.new_id() if claimed is None else claimed
        self.unborn.discard(person_id)
        self.states[person_id] = State(
            person=Person(
                id=person_id,
                born_as=name.text,
                created_at=now,
                bucket=bucket_of(name.text),
            )
        )
        return person_id

    def _attach(self, names: tuple[Name, ...], person_id: int) -> None:
        """Give the person those names that nobody born has."""
        for name in names:
            if self._owner(name) is None:
                self.identities[name] = person_id
        state = self.states[person_id]
        mine = (
            n.value
            for n in names
            if n.namespace == Namespace.USER and self.identities[n] == person_id
        )
        user_id = state.person.user_id or next(mine, None)
        if user_id != state.person.user_id:
            person = replace(state.person, user_id=user_id)
            self.states[person_id] = replace(state, person=person)


def _joins_users(event: IncomingEvent, source: SourceRef) -> bool:
    return event.type is EventType.ALIAS and source.trust is Trust.SECRET


def _guarded(person: Person) -> bool:
    return person.user_id is not None or person.email_trusted


def _without_email(person: Person) -> Person:
    return replace(
        person,
        email=None,
        email_said_at=None,
        traits={k: v for k, v in person.traits.items() if k != "email"},
        trait_times={k: v for k, v in person.trait_times.items() if k != "email"},
    )


def microseconds(at: datetime) -> int:
    """Return the time as whole microseconds since 1970."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def said_of(person: Person, event: IncomingEvent, source: SourceRef) -> Person:
    """Return the person with what the event says of it; older news changes nothing."""
    zone = event.context.get("timezone")
    if not event.of_customer and (not isinstance(zone, str) or person.time_zone):
        return person
    said = microseconds(event.occurred_at)
    traits, times = dict(person.traits), dict(person.trait_times)
    guarded = source.trust is Trust.PUBLIC and _guarded(person)
    for name, value in event.of_customer.items():
        if said >= times.get(name, said) and not (guarded and name == "email"):
            traits[name], times[name] = value, said
    person = replace(
        person,
        traits=traits,
        trait_times=times,
        time_zone=_text(traits, "time_zone", "timezone")
        or person.time_zone
        or (zone if isinstance(zone, str) else ""),
        locale=_text(traits, "locale") or person.locale,
    )
    return _with_email(person, event, source)


def _with_email(person: Person, event: IncomingEvent, source: SourceRef) -> Person:
    """Return the person with the address that the event says, if it may say one.

    A public source never changes the address of somebody known, nor one that
    a secret source said. Nor does an event that names only an anonymous id change
    the trusted address of a user: a public key can tie any such id to any user.
    An address that cannot be one is kept as a trait only.
    """
    said = event.of_customer.get("email")
    trusted = source.trust is Trust.SECRET
    if not isinstance(said, str) or (not trusted and _guarded(person)):
        return person
    if person.user_id and person.email_trusted and not event.user_id:
        return person
    newer = (
        person.email_said_at is None
        or event.occurred_at >= person.email_said_at
        or (trusted and not person.email_trusted)
    )
    if not newer:
        return person
    try:
        address = validate(said)
    except AddressInvalid:
        return person
    return replace(
        person,
        email=address,
        email_said_at=event.occurred_at,
        email_trusted=trusted,
    )


def _text(traits: Mapping[str, object], *names: str) -> str:
    found = (traits.get(n) for n in names)
    return next((v for v in found if isinstance(v, str) and v), "")
