"""What a customer did, as every stage of the engine sees it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

MAX_ID_CHARS: Final = 500
MAX_NAME_CHARS: Final = 200
MAX_MESSAGE_ID_CHARS: Final = 255
MAX_REJECTED_CHARS: Final = 32 * 1024


class EventType(StrEnum):
    """The calls that every event platform shares."""

    TRACK = "track"
    IDENTIFY = "identify"
    PAGE = "page"
    SCREEN = "screen"
    ALIAS = "alias"
    GROUP = "group"


class Trust(StrEnum):
    """How far a source is believed: a public key can be used by anyone."""

    SECRET = "secret"  # noqa: S105 - a trust level, not a password
    PUBLIC = "public"


class SourceRef(Struct, frozen=True):
    """The source that an authenticated request speaks for."""

    id: int
    name: str
    trust: Trust
    kind: str = "segment"


class IncomingEvent(Struct, frozen=True, kw_only=True):
    """One event in the engine's own form, made by a dialect.

    Every string is at most the MAX_ constant of its kind, trimmed, and free of
    NUL and lone surrogates; every time is aware. `name` is empty for identify,
    alias and group. `traits` may hold "email"; those of a group event describe
    the group, not the customer. `notes` names what the dialect had to mend
    (for instance "nul-replaced"). An alias may name the same id twice, which
    joins nothing.
    """

    message_id: str
    type: EventType
    name: str = ""
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    traits: Mapping[str, object] = field(default_factory=dict)
    properties: Mapping[str, object] = field(default_factory=dict)
    context: Mapping[str, object] = field(default_factory=dict)
    occurred_at: datetime
    notes: tuple[str, ...] = ()

    @property
    def of_customer(self) -> Mapping[str, object]:
        """Return the traits that are the customer's own."""
        return {} if self.type is EventType.GROUP else self.traits


class RejectedInput(Struct, frozen=True, kw_only=True):
    """An event that cannot be taken: what was wrong, and where.

    `code` is a stable word ("id_too_long"), `detail` a sentence for people,
    `path` where in the body ("batch[3].userId"), `body` the raw event, cut to
    32 KB of text.
    """

    code: str
    detail: str
    path: str = ""
    message_id: str = ""
    body: str = ""
