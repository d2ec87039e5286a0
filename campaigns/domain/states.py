"""The states of journeys, messages and attempts, and the moves of the first two."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class RuleStatus(StrEnum):
    """Whether a rule takes people in."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Kind(StrEnum):
    """What a mail is in the eyes of the law."""

    MARKETING = "marketing"
    TRANSACTIONAL = "transactional"


TRANSACTIONAL_LANE: Final = 0
MARKETING_LANE: Final = 1


def lane_of(kind: Kind) -> int:
    """Return the dispatcher's lane for mail of this kind."""
    return TRANSACTIONAL_LANE if kind is Kind.TRANSACTIONAL else MARKETING_LANE


class Arm(StrEnum):
    """Which side of a holdout a journey is on."""

    TREATED = "treated"
    CONTROL = "control"


class JourneyState(StrEnum):
    """Where one customer is on the way through one rule version."""

    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"
    FINISHED = "finished"
    EXITED = "exited"
    CANCELLED = "cancelled"
    MERGED = "merged"


OPEN_JOURNEY: Final = frozenset(
    {JourneyState.WAITING, JourneyState.SENDING, JourneyState.HELD}
)


class MessageState(StrEnum):
    """What became of one intended mail."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    HELD = "held"
    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


UNSETTLED: Final = frozenset(
    {
        MessageState.QUEUED,
        MessageState.CLAIMED,
        MessageState.SENDING,
        MessageState.HELD,
    }
)
STOPPABLE: Final = UNSETTLED - {MessageState.SENDING}
# What the frequency cap counts: what reached its address, or may have.
CAPPED: Final = frozenset(
    {MessageState.SENDING, MessageState.SENT, MessageState.UNKNOWN}
)


class AttemptState(StrEnum):
    """How one call to a provider ended."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"


JOURNEY_MOVES: Final[Mapping[JourneyState, frozenset[JourneyState]]] = {
    JourneyState.WAITING: frozenset(JourneyState),  # restart keeps it waiting
    JourneyState.SENDING: frozenset(JourneyState)
    - {JourneyState.SENDING, JourneyState.HELD},
    JourneyState.HELD: frozenset(
        {
            JourneyState.WAITING,
            JourneyState.EXITED,
            JourneyState.CANCELLED,
            JourneyState.MERGED,
        }
    ),
    JourneyState.FINISHED: frozenset(),
    JourneyState.EXITED: frozenset(),
    JourneyState.CANCELLED: frozenset(),
    JourneyState.MERGED: frozenset(),
}

MESSAGE_MOVES: Final[Mapping[MessageState, frozenset[MessageState]]] = {
    MessageState.QUEUED: frozenset({MessageState.CLAIMED, MessageState.CANCELLED}),
    MessageState.CLAIMED: frozenset(
        {
            MessageState.QUEUED,
            MessageState.SKIPPED,
            MessageState.HELD,
            MessageState.SENDING,
            MessageState.CANCELLED,
            MessageState.FAILED,
        }
    ),
    MessageState.SENDING: frozenset(
        {
            MessageState.SENT,
            MessageState.QUEUED,
            MessageState.FAILED,
            MessageState.UNKNOWN,
        }
    ),
    MessageState.HELD: frozenset({MessageState.QUEUED, MessageState.CANCELLED}),
    MessageState.UNKNOWN: frozenset(
        {MessageState.SENT, MessageState.FAILED, MessageState.QUEUED}
    ),
    MessageState.SENT: frozenset(),
    MessageState.SKIPPED: frozenset(),
    MessageState.FAILED: frozenset(),
    MessageState.CANCELLED: frozenset(),
}


class IllegalMove(ValueError):
    """A state was to change in a way that the table of moves does not allow."""


def check_move(old: JourneyState | MessageState, new: StrEnum) -> None:
    """Raise IllegalMove unless `old` may become `new` (the same state passes)."""
    moves = JOURNEY_MOVES if isinstance(old, JourneyState) else MESSAGE_MOVES
    if new != old and new not in moves[old]:  # type: ignore[index]
        raise IllegalMove(f"{type(old).__name__}: {old} must not become {new}")


class Reason(StrEnum):
    """Why an event did not start a journey (decisions)."""

    ENTERED = "entered"
    CONTROL = "control"
    RESTARTED = "restarted"
    SOURCE = "source_not_allowed"
    TOO_OLD = "too_old"
    CONDITION = "condition_failed"
    RUNNING = "already_running"
    COOLDOWN = "cooldown"
    ALREADY_EXITED = "already_exited"


class SkipReason(StrEnum):
    """The gate's verdicts that stop, hold or delay a mail, in its order."""

    DELIVERED = "delivered_already"
    RULE_ARCHIVED = "rule_archived"
    RULE_PAUSED = "rule_paused"
    RULE_UNREADABLE = "rule_unreadable"
    EXITED = "exited"
    NO_ADDRESS = "no_address"
    ADDRESS_UNTRUSTED = "address_untrusted"
    SUPPRESSED = "suppressed"
    UNSUBSCRIBED = "unsubscribed"
    NO_CONSENT = "no_consent"
    FREQUENCY_CAP = "frequency_cap"
    EXPIRED = "expired"
    WINDOW = "outside_window"
    CONDITION = "condition_failed"
    NO_CONNECTION = "no_connection"
    CONTEXT_MOVED = "context_moved"
    TEMPLATE = "template_error"
    PAYLOAD = "payload_invalid"


# What is held for one of these goes on by itself, once its rule does.
OF_A_PAUSE: Final = frozenset({SkipReason.RULE_PAUSED, SkipReason.RULE_UNREADABLE})


class SuppressionReason(StrEnum):
    """Why an address must not be mailed; some stop only marketing mail."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    INVALID = "invalid"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"
    ERASURE = "erasure"


STOPS_TRANSACTIONAL: Final = frozenset(SuppressionReason) - {
    SuppressionReason.UNSUBSCRIBED
}
