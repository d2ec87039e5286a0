"""What a published rule document is made of (use it through `documents`)."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from campaigns.domain.condition_tree import Condition
from campaigns.domain.durations import NO_TIME, Duration

MAX_EVENTS: Final = 50
MAX_NAME: Final = 200
MAX_STEPS: Final = 20
MAX_VARIANTS: Final = 10
MAX_HOLDOUT: Final = 10_000

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_EVENTS)]
StartTime = Annotated[
    str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", min_length=5, max_length=5)
]
EndTime = Annotated[
    str,
    Meta(pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", min_length=5, max_length=5),
]
Weekday = Annotated[int, Meta(ge=0, le=6)]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any part of the document."""


class Window(Part, frozen=True, kw_only=True):
    """When mail may leave: from start up to (not at) end, local time, on weekdays.

    Monday is 0. An end before the start means the next day's; the weekday is
    then that of the start. 00:00 to 24:00 is the whole day.
    """

    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)]
    start: StartTime
    end: EndTime


class Quiet(Part, frozen=True, kw_only=True):
    """When nothing may leave, every day, from start up to (not at) end."""

    start: StartTime
    end: EndTime


class Trigger(Part, frozen=True, kw_only=True):
    """What starts a journey. `sources` None is every source.

    `public` says whether sources with a public key may start it too.
    """

    events: Names
    sources: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)] | None = None
    public: bool = False


class Cooldown(Part, frozen=True, kw_only=True):
    """How long the rule may not start again, for each value of `key` if given."""

    duration: Duration
    key: Name | None = None


class Exit(Part, frozen=True, kw_only=True):
    """What ends the journey early; with `key`, only if that property is the same."""

    events: Names
    key: Name | None = None


class Goal(Part, frozen=True, kw_only=True):
    """What counts as a conversion, and until how long after the start."""

    event: Name
    window: Duration


class WaitFor(Part, frozen=True, kw_only=True):
    """Sleep until one of these events, at most until the time-out."""

    events: Names
    timeout: Duration


class Variant(Part, frozen=True, kw_only=True):
    """One mail that the step may send; a fallback only if the chosen one cannot be."""

    name: Name
    condition: Condition | None = None
    weight: Annotated[int, Meta(ge=0, le=10_000)] = 1
    template_version: Id
    fallback: bool = False


class Step(Part, frozen=True, kw_only=True):
    """Wait, then send one of the variants. `delay` is 0 if it waits for an event."""

    delay: Duration = NO_TIME
    wait_for: WaitFor | None = None
    window: Window | None = None
    quiet: Quiet | None = None
    variants: Annotated[
        tuple[Variant, ...], Meta(min_length=1, max_length=MAX_VARIANTS)
    ]
    expires_after: Duration | None = None


class Document(Part, frozen=True, kw_only=True):
    """One published version of a rule.

    `rule`, `topic`, `sender`, `template_version` are row ids. `holdout` is in
    basis points of customer.bucket; `salt` keeps the arms of rules apart.
    """

    schema: Literal[1]
    rule: Id
    version: Id
    name: Name
    kind: Literal["marketing", "transactional"]
    topic: Id | None = None
    topic_opt_in: bool = False
    sender: Id
    salt: Annotated[str, Meta(min_length=1, max_length=64)]
    trigger: Trigger
    condition: Condition | None = None
    cooldown: Cooldown | None = None
    exit: Exit | None = None
    retrigger: Literal["ignore", "restart"] = "ignore"
    freshness: Duration | None = None
    holdout: Annotated[int, Meta(ge=0, le=MAX_HOLDOUT)] = 0
    goal: Goal | None = None
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=MAX_STEPS)]
