"""Whether an event starts a rule for a person, and why not."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from campaigns.domain.conditions import Facts, PastEvent, evaluate
from campaigns.domain.documents import Duration
from campaigns.domain.events import IncomingEvent, SourceRef
from campaigns.domain.matching import source_allowed
from campaigns.domain.people import EventRef, Journey, State
from campaigns.domain.ruleset import Ruleset, Version
from campaigns.domain.states import (
    Arm,
    JourneyState,
    MessageState,
    Reason,
    lane_of,
)
from campaigns.domain.steps import NewId, begin_step
from campaigns.domain.timing import add, elapsed

MAX_KEY_CHARS: Final = 200


class Arrival(Struct, frozen=True):
    """An event that is being decided about, as it will be stored."""

    event: IncomingEvent
    source: SourceRef
    ref: EventRef

    @property
    def past(self) -> PastEvent:
        """Return the event as the person's history shows it."""
        return PastEvent(
            id=self.ref.id,
            name=self.event.name,
            occurred_at=self.ref.occurred_at,
            properties=self.event.properties,
            received_at=self.ref.received_at,
        )


class Decision(Struct, frozen=True):
    """What became of one rule that an event touched; kept on the event's row."""

    rule: int
    version: int
    reason: Reason
    detail: Mapping[str, object]
    journey: int | None = None

    def as_json(self) -> dict[str, object]:
        """Return the form that the event's row keeps."""
        shown = {"rule": self.rule, "version": self.version, "reason": str(self.reason)}
        if self.detail:
            shown["detail"] = dict(self.detail)
        if self.journey is not None:
            shown["journey"] = self.journey
        return shown


class Enter(Struct, frozen=True):
    """The event starts a journey."""

    version: Version
    key: str
    arm: Arm


class Restart(Struct, frozen=True):
    """The event starts the wait of a journey anew."""

    journey: Journey


class NotEntered(Struct, frozen=True):
    """The event starts nothing, for this reason."""

    reason: Reason
    detail: Mapping[str, object]


def property_key(properties: Mapping[str, object], name: str | None) -> str:
    """Return the text by which a property's value is told from others; '' if absent."""
    value = properties.get(name) if name else None
    if value is None or isinstance(value, dict | list):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if len(text) <= MAX_KEY_CHARS:
        return text
    return blake2b(text.encode(), digest_size=16).hexdigest()


def decide_entry(
    version: Version,
    arrival: Arrival,
    state: State,
    *,
    now: datetime,
) -> Enter | Restart | NotEntered:
    """Decide whether the event starts the version for this person."""
    doc = version.document
    event = arrival.event
    refused = (
        _source_refused(version, arrival.source)
        or _too_old(event, doc.freshness, now=now)
        or _condition_failed(version, event, state, now=now)
    )
    if refused is not None:
        return refused
    key = property_key(event.properties, doc.cooldown.key if doc.cooldown else None)
    running = next(
        (j for j in state.open_journeys() if j.rule == version.rule and j.key == key),
        None,
    )
    if running and doc.retrigger == "restart" and can_restart(running, event, state):
        return Restart(running)
    return (
        _cooling_down(version, key, state, now=now)
        or _running(running)
        or _already_exited(version, event, state, now=now)
        or Enter(version, key, _arm(version, state))
    )


def _source_refused(version: Version, source: SourceRef) -> NotEntered | None:
    if source_allowed(version, source):
        return None
    return NotEntered(Reason.SOURCE, {"source": source.id, "trust": str(source.trust)})


def _too_old(
    event: IncomingEvent, freshness: Duration | None, *, now: datetime
) -> NotEntered | None:
    if freshness is None or now - event.occurred_at <= elapsed(freshness):
        return None
    return NotEntered(
        Reason.TOO_OLD,
        {
            "occurred_at": event.occurred_at.isoformat(),
            "limit_s": int(elapsed(freshness).total_seconds()),
        },
    )


def _condition_failed(
    version: Version, event: IncomingEvent, state: State, *, now: datetime
) -> NotEntered | None:
    condition = version.document.condition
    if condition is None:
        return None
    facts = Facts(
        event={
            "name": event.name,
            "properties": event.properties,
            "context": event.context,
        },
        customer=state.person.facts,
        journey={},
        past=state.past,
    )
    verdict = evaluate(condition, facts, now=now)
    if verdict.holds:
        return None
    return NotEntered(Reason.CONDITION, {"condition": verdict.as_json()})


def _cooling_down(
    version: Version, key: str, state: State, *, now: datetime
) -> NotEntered | None:
    until = state.cooldowns.get((version.rule, key))
    if version.document.cooldown is None or until is None or until <= now:
        return None
    return NotEntered(Reason.COOLDOWN, {"until": until.isoformat(), "key": key})


def _running(running: Journey | None) -> NotEntered | None:
    if running is None:
        return None
    return NotEntered(Reason.RUNNING, {"journey": running.id})


def _already_exited(
    version: Version, event: IncomingEvent, state: State, *, now: datetime
) -> NotEntered | None:
    doc = version.document
    if doc.exit is None:
        return None
    value = property_key(event.properties, doc.exit.key) or None
    found = find_exit(version, value, event.occurred_at, state, until=now)
    if found is None:
        return None
    return NotEntered(Reason.ALREADY_EXITED, exit_cause(found))


def find_exit(
    version: Version,
    value: str | None,
    since: datetime,
    state: State,
    *,
    until: datetime,
) -> PastEvent | None:
    """Return the first exit event of the person since then, if there is one.

    With a key property the values must be equal; a journey whose own event
    lacked the property is ended by any exit event: better no mail than one
    after the purchase.
    """
    exits = version.document.exit
    if exits is None:
        return None
    found = [
        event
        for name in exits.events
        for event in state.past.events(name, since, until)
        if value is None or property_key(event.properties, exits.key) == value
    ]
    return min(found, key=lambda e: e.order, default=None)


def exit_cause(event: PastEvent) -> dict[str, object]:
    """Return the cause that a journey ended by this event keeps."""
    return {
        "reason": "exit_event",
        "event": event.id,
        "name": event.name,
        "occurred_at": event.occurred_at.isoformat(),
    }


def can_restart(journey: Journey, event: IncomingEvent, state: State) -> bool:
    """Return whether nothing of the journey was sent and the event is news to it."""
    if journey.step != 0 or event.occurred_at < journey.trigger.occurred_at:
        return False
    mail = state.mail_of(journey)
    return mail is None or mail.state is not MessageState.SENDING


def _arm(version: Version, state: State) -> Arm:
    salted = f"{version.document.salt}:{state.person.bucket}"
    digest = blake2b(salted.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") % 10_000
    return Arm.CONTROL if share < version.document.holdout else Arm.TREATED


def start_journey(
    state: State,
    entered: Enter,
    arrival: Arrival,
    rules: Ruleset,
    *,
    now: datetime,
    new_id: NewId,
) -> tuple[State, Journey]:
    """Return the state with the journey under way, and its cooldown."""
    version, doc = entered.version, entered.version.document
    event, ref = arrival.event, arrival.ref
    zone = rules.policy.zone(state.person.time_zone)
    goal_until = None
    if doc.goal:
        goal_until = add(event.occurred_at, doc.goal.window, zone)
    journey = Journey(
        id=new_id(),
        rule=version.rule,
        version=version.id,
        key=entered.key,
        event=ref,
        trigger=ref,
        arm=entered.arm,
        state=JourneyState.WAITING,
        lane=lane_of(version.kind),
        started_at=now,
        exit_value=property_key(event.properties, doc.exit.key if doc.exit else None)
        or None,
        goal_until=goal_until,
    )
    if entered.arm is Arm.CONTROL:
        journey = journey.end(
            JourneyState.FINISHED, cause={"reason": "control"}, now=now
        )
    else:
        journey = begin_step(state, journey, rules, base=event.occurred_at, now=now)
    if doc.cooldown:
        until = add(now, doc.cooldown.duration, zone)
        cooldowns = {**state.cooldowns, (version.rule, entered.key): until}
        state = replace(state, cooldowns=cooldowns)
    return state.with_journey(journey), journey


def restart_journey(
    state: State, journey: Journey, ref: EventRef, rules: Ruleset, *, now: datetime
) -> State:
    """Return the state with the journey's first wait begun anew by a newer event.

    A mail that was queued meanwhile is cancelled, and the revision rises, so
    that the step's next mail is another row.
    """
    mail = state.mail_of(journey)
    again = replace(journey, trigger=ref)
    if mail is not None:
        state = state.with_mail(mail.cancel("restarted", now=now))
        again = replace(again, revision=journey.revision + 1)
    begun = begin_step(state, again, rules, base=ref.occurred_at, now=now)
    if journey.state is JourneyState.HELD:
        begun = replace(
            begun, state=JourneyState.HELD, held_due_at=begun.due_at, due_at=None
        )
    return state.with_journey(begun)
