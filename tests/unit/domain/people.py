"""Builders of what the core decides about; a test names only what matters to it.

The rule is 7 in version 10, the journey 50, its mail 60, the person 1. It is noon on
a Monday unless a test says otherwise.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from campaigns.domain.condition_tree import Condition, parse_condition
from campaigns.domain.documents import Document, Duration, Step, Trigger, Variant
from campaigns.domain.entry import Arrival
from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.domain.history import PastEvent
from campaigns.domain.people import EventRef, Journey, Mail, Past, Person, State
from campaigns.domain.ruleset import Policy, Ruleset, Version
from campaigns.domain.states import Arm, JourneyState, Kind, MessageState, RuleStatus

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BACKEND = SourceRef(1, "shop", Trust.SECRET)
BROWSER = SourceRef(2, "web", Trust.PUBLIC)
CARTED = EventRef(100, NOON, NOON)


def minutes(amount: int) -> Duration:
    return Duration(amount=amount, unit="minutes")


def hours(amount: int) -> Duration:
    return Duration(amount=amount, unit="hours")


def days(amount: int) -> Duration:
    return Duration(amount=amount, unit="days")


def where(field: str, op: str, value: object) -> Condition:
    return parse_condition({"field": field, "op": op, "value": value})


def bought_once_within(amount: int, unit: str) -> Condition:
    within = {"amount": amount, "unit": unit}
    return parse_condition(
        {"did": "Bought", "op": "at_least", "times": 1, "within": within}
    )


def variant(name: str = "A", **more: object) -> Variant:
    return Variant(**{"name": name, "template_version": 5, **more})


def step(*variants: Variant, **more: object) -> Step:
    return Step(**{"variants": variants or (variant(),), **more})


def version(*steps: Step, id: int = 10, rule: int = 7, **more: object) -> Version:  # noqa: A002
    """A version of one step that starts with "Carted"; `more` goes to its document."""
    document = {
        "schema": 1,
        "rule": rule,
        "version": id,
        "name": "Cart",
        "kind": "marketing",
        "topic": 3,
        "sender": 2,
        "salt": "salt",
        "trigger": Trigger(events=("Carted",)),
        "steps": steps or (step(),),
    }
    return Version(id, rule, Document(**{**document, **more}), provider=4)


def ruleset(
    *versions: Version,
    status: RuleStatus = RuleStatus.ACTIVE,
    policy: Policy | None = None,
) -> Ruleset:
    return Ruleset(
        number=1,
        versions={v.id: v for v in versions},
        current={v.rule: v.id for v in versions},
        statuses={v.rule: status for v in versions} or {7: status},
        policy=policy or Policy(),
    )


def person(**more: object) -> Person:
    known = {
        "id": 1,
        "born_as": "user:ada",
        "created_at": NOON,
        "bucket": 1234,
        "email": "ada@example.com",
        "email_trusted": True,
    }
    return Person(**{**known, **more})


def happened(
    name: str,
    at: datetime = NOON,
    *,
    id: int = 200,  # noqa: A002
    received: datetime | None = None,
    **properties: object,
) -> PastEvent:
    return PastEvent(
        id=id, name=name, occurred_at=at, properties=properties, received_at=received
    )


def arrival(
    name: str = "Carted",
    at: datetime = NOON,
    *,
    id: int = 100,  # noqa: A002
    source: SourceRef = BACKEND,
    context: dict[str, object] | None = None,
    **properties: object,
) -> Arrival:
    event = IncomingEvent(
        message_id=str(id),
        type=EventType.TRACK,
        name=name,
        user_id="ada",
        properties=properties,
        context=context or {},
        occurred_at=at,
    )
    return Arrival(event, source, EventRef(id, NOON, at))


def journey(**more: object) -> Journey:
    """An open journey that waits for its first step, due now."""
    known = {
        "id": 50,
        "rule": 7,
        "version": 10,
        "key": "",
        "event": CARTED,
        "trigger": CARTED,
        "arm": Arm.TREATED,
        "state": JourneyState.WAITING,
        "lane": 1,
        "started_at": NOON,
        "due_at": NOON,
    }
    return Journey(**{**known, **more})


def sending(**more: object) -> Journey:
    """The journey while its mail is on its way."""
    return journey(**{"state": JourneyState.SENDING, "due_at": None, **more})


def mail(**more: object) -> Mail:
    """The journey's first mail, just claimed for the first time."""
    known = {
        "id": 60,
        "journey": 50,
        "step": 0,
        "revision": 0,
        "rule": 7,
        "version": 10,
        "kind": Kind.MARKETING,
        "lane": 1,
        "variant": 0,
        "template_version": 5,
        "provider": 4,
        "state": MessageState.CLAIMED,
        "due_at": NOON,
        "created_at": NOON,
        "attempt": 1,
        "token": UUID(int=1),
    }
    return Mail(**{**known, **more})


def state(
    *parts: Journey | Mail | PastEvent, who: Person | None = None, **more: object
) -> State:
    """A person's state, of the journeys, mails and past events given."""
    return State(
        person=who or person(),
        journeys={p.id: p for p in parts if isinstance(p, Journey)},
        mails={p.id: p for p in parts if isinstance(p, Mail)},
        past=Past(tuple(p for p in parts if isinstance(p, PastEvent))),
        **more,
    )


def ids(first: int = 50) -> Callable[[], int]:
    numbers = count(first)
    return lambda: next(numbers)
