"""What the core knows of one person while it decides: frozen values, no storage.

A decision takes a State and returns another. Whoever stores states (SQL or the
simulator's memory) writes what differs, so there is one writer for each kind
of row and no effect that a state does not show.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from campaigns.domain.conditions import PastEvent
from campaigns.domain.states import (
    OPEN_JOURNEY,
    STOPPABLE,
    UNSETTLED,
    Arm,
    JourneyState,
    Kind,
    MessageState,
    check_move,
)

BUCKETS: Final = 10_000
MOST_REMEMBERED: Final = 200
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)


def bucket_of(born_as: str) -> int:
    """Return the holdout bucket, 0 to 9999, of a person first seen as `born_as`."""
    digest = blake2b(born_as.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


class Person(Struct, frozen=True, kw_only=True):
    """A customer. `trait_times` are microseconds since 1970, when each was said."""

    id: int
    born_as: str
    created_at: datetime
    bucket: int
    user_id: str | None = None
    email: str | None = None
    email_said_at: datetime | None = None
    email_trusted: bool = False
    traits: Mapping[str, object] = field(default_factory=dict)
    trait_times: Mapping[str, int] = field(default_factory=dict)
    time_zone: str = ""
    locale: str = ""
    merged_ids: tuple[int, ...] = ()
    merged_into: int | None = None

    @property
    def remembered_ids(self) -> tuple[int, ...]:
        """The ids whose events are this customer's past: of those merged, the latest.

        Each costs every question about the past a look of its own, and somebody who
        is known on a shared device may be merged with thousands.
        """
        return (self.id, *self.merged_ids[-MOST_REMEMBERED:])

    @property
    def seniority(self) -> tuple[datetime, str]:
        """Sort key: of two that merge the smaller survives."""
        return (self.created_at, self.born_as)

    @property
    def facts(self) -> dict[str, object]:
        """What conditions and templates see under `customer`."""
        return {
            **self.traits,
            "email": self.email,
            "user_id": self.user_id,
            "time_zone": self.time_zone,
            "locale": self.locale,
        }


class EventRef(Struct, frozen=True):
    """Enough to find an event again, and to compare its time."""

    id: int
    received_at: datetime
    occurred_at: datetime


class Journey(Struct, frozen=True, kw_only=True):
    """One customer's way through one version. `due_at` is the timer's."""

    id: int
    rule: int
    version: int
    key: str
    event: EventRef
    trigger: EventRef
    arm: Arm
    state: JourneyState
    lane: int
    started_at: datetime
    exit_value: str | None = None
    step: int = 0
    revision: int = 0
    due_at: datetime | None = None
    wait_since: datetime | None = None
    woken_by: int | None = None
    held_due_at: datetime | None = None
    ended_at: datetime | None = None
    cause: Mapping[str, object] | None = None
    goal_until: datetime | None = None
    converted_at: datetime | None = None
    converted_by: int | None = None

    @property
    def is_open(self) -> bool:
        """Return whether the journey may still send."""
        return self.state in OPEN_JOURNEY

    @property
    def unbegun(self) -> bool:
        """Return whether its step is still to begin: its version cannot be read.

        The cause then says since when; only journeys that ended have another.
        """
        return self.is_open and self.cause is not None

    @property
    def watched_until(self) -> datetime | None:
        """Until when events matter to it: None if never again."""
        if self.is_open:
            return FAR
        return self.goal_until if self.converted_at is None else None

    def end(
        self, state: JourneyState, *, cause: Mapping[str, object], now: datetime
    ) -> "Journey":
        """Return the journey ended, without timer or hold."""
        check_move(self.state, state)
        merged = state is JourneyState.MERGED
        return replace(
            self,
            state=state,
            due_at=None,
            held_due_at=None,
            ended_at=now,
            cause=cause,
            goal_until=None if merged else self.goal_until,
        )


class Mail(Struct, frozen=True, kw_only=True):
    """One intended mail; a row of the message table.

    `context` is what it leaves with, from the gate on; None where it was read: no
    decision looks at it, and what is written without one keeps the row's.
    """

    id: int
    journey: int | None
    step: int
    revision: int
    rule: int | None
    version: int | None
    kind: Kind
    lane: int
    variant: int
    template_version: int
    provider: int
    state: MessageState
    due_at: datetime
    created_at: datetime
    reason: str = ""
    detail: Mapping[str, object] | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    attempt: int = 0
    token: UUID | None = None
    address: str = ""
    address_hash: bytes | None = None
    provider_message_id: str = ""
    context: Mapping[str, object] | None = None
    sending_at: datetime | None = None
    settled_at: datetime | None = None
    evidence_at: datetime | None = None
    redriven_at: datetime | None = None

    def move(self, state: MessageState, **changes: object) -> "Mail":
        """Return the mail in its new state; IllegalMove if the table forbids it."""
        check_move(self.state, state)
        if state is not MessageState.QUEUED:
            changes.setdefault("not_before", None)
        return replace(self, state=state, **changes)

    def cancel(self, reason: str, *, now: datetime) -> "Mail":
        """Return the mail cancelled before any byte of it was sent."""
        return self.move(MessageState.CANCELLED, reason=reason, settled_at=now)


class Past(Struct, frozen=True):
    """A person's events, as far as they were asked for."""

    rows: tuple[PastEvent, ...] = ()

    def events(
        self, name: str, since: datetime, until: datetime
    ) -> tuple[PastEvent, ...]:
        """Return the events of that name with since <= occurred_at <= until."""
        return tuple(
            e for e in self.rows if e.name == name and since <= e.occurred_at <= until
        )

    def with_event(self, event: PastEvent) -> "Past":
        """Return the past with one more event."""
        return Past((*self.rows, event))

    def joined(self, other: "Past") -> "Past":
        """Return both pasts as one, each event once."""
        known = {e.id for e in self.rows}
        return Past((*self.rows, *(e for e in other.rows if e.id not in known)))


CooldownKey = tuple[int, str]


class State(Struct, frozen=True):
    """One person and all that a decision may change of theirs."""

    person: Person
    journeys: Mapping[int, Journey] = field(default_factory=dict)
    mails: Mapping[int, Mail] = field(default_factory=dict)
    cooldowns: Mapping[CooldownKey, datetime] = field(default_factory=dict)
    past: Past = field(default_factory=Past)

    def with_journey(self, journey: Journey) -> "State":
        """Return the state with that journey put in or replaced."""
        return replace(self, journeys={**self.journeys, journey.id: journey})

    def with_mail(self, mail: Mail) -> "State":
        """Return the state with that mail put in or replaced."""
        return replace(self, mails={**self.mails, mail.id: mail})

    def open_journeys(self) -> tuple[Journey, ...]:
        """Return the journeys that may still send, oldest first."""
        return tuple(
            sorted(
                (j for j in self.journeys.values() if j.is_open),
                key=lambda j: (j.started_at, j.id),
            )
        )

    def journey_of(self, mail: Mail) -> Journey | None:
        """Return the mail's journey; None if it has none, or it is not loaded."""
        return None if mail.journey is None else self.journeys.get(mail.journey)

    def mail_of(self, journey: Journey) -> Mail | None:
        """Return the unsettled mail of the journey's present step, if there is one."""
        return next(
            (
                m
                for m in self.mails.values()
                if m.journey == journey.id
                and m.step == journey.step
                and m.revision == journey.revision
                and m.state in UNSETTLED
                and m.redriven_at is None
            ),
            None,
        )

    def end_journey(
        self,
        journey: Journey,
        state: JourneyState,
        *,
        cause: Mapping[str, object],
        now: datetime,
    ) -> "State":
        """Return the state with the journey ended and what it had not sent cancelled."""
        after = self.with_journey(journey.end(state, cause=cause, now=now))
        mail = self.mail_of(journey)
        if mail is not None and mail.state in STOPPABLE:
            after = after.with_mail(mail.cancel(str(state), now=now))
        return after
