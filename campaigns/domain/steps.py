"""A journey's way from step to step: waiting, waking, sending, finishing."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from campaigns.domain.conditions import Facts, evaluate
from campaigns.domain.documents import Duration, Step, Variant
from campaigns.domain.people import Journey, Mail, Person, State
from campaigns.domain.ruleset import Policy, Ruleset, Version
from campaigns.domain.states import (
    JourneyState,
    MessageState,
    RuleStatus,
    SkipReason,
    check_move,
)
from campaigns.domain.timing import add, due_at, is_open, next_open

NewId = Callable[[], int]


class Send(Struct, frozen=True):
    """The step is due: queue this mail."""

    mail: Mail


class Sleep(Struct, frozen=True):
    """Not now: the window is closed until then."""

    until: datetime


class Park(Struct, frozen=True):
    """The rule is paused: keep the place, and the time it was due."""

    due_at: datetime


class Pass(Struct, frozen=True):
    """No variant of the step is meant for this person: go on without a mail."""

    detail: Mapping[str, object]


class Begin(Struct, frozen=True):
    """The version can be read again: begin the step that could not be."""


class Cancel(Struct, frozen=True):
    """The rule is archived: the journey ends here."""


Advance = Send | Sleep | Park | Pass | Begin | Cancel


class Trigger(Struct, frozen=True):
    """The event that a journey speaks of, as conditions and templates see it."""

    name: str
    properties: Mapping[str, object]
    context: Mapping[str, object]


def step_due(
    step: Step, *, base: datetime, now: datetime, person: Person, policy: Policy
) -> datetime:
    """Return when a step that begins at `base` is due; never before `now`."""
    zone = policy.zone(person.time_zone)
    wait = step.wait_for.timeout if step.wait_for else step.delay
    due = due_at(base, wait, step.window, step.quiet, zone, speed=policy.speed)
    if due >= now:
        return due
    return next_open(now, step.window, step.quiet, zone)


def begin_step(
    state: State, journey: Journey, rules: Ruleset, *, base: datetime, now: datetime
) -> Journey:
    """Return the journey waiting at its present step, woken if its event came already.

    If the version cannot be read it waits for that, `unbegun`.
    """
    version = rules.version(journey.version)
    if version is None:
        return _unbegun(journey, base=base, now=now)
    step = version.step(journey.step)
    due = step_due(step, base=base, now=now, person=state.person, policy=rules.policy)
    waiting = replace(
        journey,
        state=JourneyState.WAITING,
        due_at=due,
        held_due_at=None,
        wait_since=base if step.wait_for else None,
        woken_by=None,
        cause=None,
    )
    return look_for_wake(state, waiting, rules, now=now)


def _unbegun(journey: Journey, *, base: datetime, now: datetime) -> Journey:
    """Return the journey waiting to begin its step, whose delay counts from `base`."""
    return replace(
        journey,
        state=JourneyState.WAITING,
        due_at=now,
        held_due_at=None,
        wait_since=None,
        woken_by=None,
        cause={"reason": str(SkipReason.RULE_UNREADABLE), "since": base.isoformat()},
    )


def look_for_wake(
    state: State, journey: Journey, rules: Ruleset, *, now: datetime
) -> Journey:
    """Return the journey woken by the first awaited event since its wait began."""
    version = rules.version(journey.version)
    if version is None or journey.unbegun:
        return journey
    step = version.step(journey.step)
    asleep = journey.state in (JourneyState.WAITING, JourneyState.HELD)
    if (
        step.wait_for is None
        or journey.wait_since is None
        or journey.woken_by is not None
        or not asleep
    ):
        return journey
    found = [
        event
        for name in step.wait_for.events
        for event in state.past.events(name, journey.wait_since, now)
    ]
    if not found:
        return journey
    first = min(found, key=lambda e: e.order)
    zone = rules.policy.zone(state.person.time_zone)
    due = next_open(now, step.window, step.quiet, zone)
    if journey.state is JourneyState.HELD:
        return replace(journey, woken_by=first.id, held_due_at=due)
    return replace(journey, woken_by=first.id, due_at=due)


def advance(
    journey: Journey,
    state: State,
    trigger: Trigger,
    rules: Ruleset,
    *,
    now: datetime,
    new_id: NewId,
) -> Advance:
    """Decide what a journey whose timer is due does now."""
    version = rules.version(journey.version)
    status = rules.status(journey.rule)
    due = journey.due_at or now
    if status is RuleStatus.ARCHIVED:
        return Cancel()
    if status is RuleStatus.PAUSED or version is None:
        return Park(due)
    if journey.unbegun:
        return Begin()
    step = version.step(journey.step)
    zone = rules.policy.zone(state.person.time_zone)
    if not is_open(now, step.window, step.quiet, zone):
        return Sleep(next_open(now, step.window, step.quiet, zone))
    chosen = choose_variant(journey, state, trigger, version, now=now)
    if chosen is None:
        return Pass({"step": journey.step, "reason": "no_variant"})
    index, variant = chosen
    return Send(
        Mail(
            id=new_id(),
            journey=journey.id,
            step=journey.step,
            revision=journey.revision,
            rule=journey.rule,
            version=version.id,
            kind=version.kind,
            lane=journey.lane,
            variant=index,
            template_version=variant.template_version,
            provider=version.provider,
            state=MessageState.QUEUED,
            due_at=due,
            not_before=now,
            not_after=expiry(due, step.expires_after, state.person, rules.policy),
            created_at=now,
        )
    )


def expiry(
    due: datetime, after: Duration | None, person: Person, policy: Policy
) -> datetime | None:
    """Return when a mail that was due then is too late, or None for never."""
    return None if after is None else add(due, after, policy.zone(person.time_zone))


def choose_variant(
    journey: Journey,
    state: State,
    trigger: Trigger,
    version: Version,
    *,
    now: datetime,
) -> tuple[int, Variant] | None:
    """Return the first variant whose condition holds; of equals, one by weight.

    Variants with the same condition as the first that holds share its people by
    weight; the share depends on the rule's salt, the step and the person's
    bucket, so that it is the same however often it is asked.
    """
    step = version.step(journey.step)
    facts = facts_for(journey, state, trigger)
    ordinary = [(i, v) for i, v in enumerate(step.variants) if not v.fallback]
    first = next(
        (
            v
            for _, v in ordinary
            if v.condition is None or evaluate(v.condition, facts, now=now).holds
        ),
        None,
    )
    if first is None:
        return None
    equals = [(i, v) for i, v in ordinary if v.condition == first.condition]
    total = sum(v.weight for _, v in equals)
    if total == 0:
        return equals[0]
    seed = f"{version.document.salt}:{journey.step}:{state.person.bucket}"
    digest = blake2b(seed.encode(), digest_size=8).digest()
    draw = int.from_bytes(digest) % total
    bounds = accumulate(v.weight for _, v in equals)
    return next(e for e, bound in zip(equals, bounds, strict=True) if draw < bound)


def facts_for(journey: Journey | None, state: State, trigger: Trigger) -> Facts:
    """Return what conditions see of a person under way."""
    return Facts(
        event={
            "name": trigger.name,
            "properties": trigger.properties,
            "context": trigger.context,
        },
        customer=state.person.facts,
        journey={"woken_by": journey.woken_by if journey else None},
        past=state.past,
    )


def apply_advance(
    state: State, journey: Journey, result: Advance, rules: Ruleset, *, now: datetime
) -> State:
    """Return the state after a due journey's decision."""
    match result:
        case Send(mail):
            moved = replace(journey, state=JourneyState.SENDING, due_at=None)
            check_move(journey.state, moved.state)
            return state.with_journey(moved).with_mail(mail)
        case Sleep(until):
            return state.with_journey(replace(journey, due_at=until))
        case Park(due):
            check_move(journey.state, JourneyState.HELD)
            return state.with_journey(
                replace(journey, state=JourneyState.HELD, due_at=None, held_due_at=due)
            )
        case Pass(detail):
            return go_on(state, journey, rules, detail=detail, now=now)
        case Begin():
            return _begin_late(state, journey, rules, now=now)
        case Cancel():
            return state.end_journey(
                journey,
                JourneyState.CANCELLED,
                cause={"reason": "rule_archived"},
                now=now,
            )


def go_on(
    state: State,
    journey: Journey,
    rules: Ruleset,
    *,
    detail: Mapping[str, object],
    now: datetime,
) -> State:
    """Return the state with the journey at its next step, or finished."""
    version = rules.version(journey.version)
    if version is not None and journey.step + 1 >= len(version.document.steps):
        ended = journey.end(JourneyState.FINISHED, cause=detail, now=now)
        return state.with_journey(ended)
    check_move(journey.state, JourneyState.WAITING)
    further = replace(journey, step=journey.step + 1)
    begun = begin_step(state, further, rules, base=now, now=now)
    if begun.unbegun:
        begun = replace(begun, cause={**detail, **(begun.cause or {})})
    return state.with_journey(begun)


def _begin_late(
    state: State, journey: Journey, rules: Ruleset, *, now: datetime
) -> State:
    """Return the state with an unbegun step begun, or finished if there is none."""
    cause = dict(journey.cause or {})
    since = datetime.fromisoformat(str(cause.pop("since")))
    if journey.step >= len(rules.versions[journey.version].document.steps):
        del cause["reason"]
        last = replace(journey, step=journey.step - 1)
        ended = last.end(JourneyState.FINISHED, cause=cause, now=now)
        return state.with_journey(ended)
    return state.with_journey(begin_step(state, journey, rules, base=since, now=now))
