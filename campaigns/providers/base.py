"""What every provider takes and answers. No vendor's word passes this module."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEmail:
    """One mail, ready to be handed over. Header values hold no CR, LF or NUL.

    `headers` holds what the composer adds (List-Unsubscribe, List-Id,
    Message-ID, Auto-Submitted). `custom_args` are opaque ids (message and
    token), never personal data.
    """

    to_email: str
    to_name: str
    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    custom_args: Mapping[str, str] = field(default_factory=dict)


class Refusal(StrEnum):
    """Why a provider surely did not take a mail."""

    NOT_REACHED = "not_reached"  # connection refused, DNS, TLS: try again
    RATE_LIMITED = "rate_limited"  # 429: everybody waits, the attempt is free
    UNAUTHORISED = "unauthorised"  # 401, 403: the provider is paused
    INVALID = "invalid"  # any other documented 4xx: this mail will never pass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has it. `provider_id` is its own id for the mail, or ''."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider surely did not take it."""

    refusal: Refusal
    detail: str
    status: int | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Nobody knows: a time-out, a dropped connection, a 5xx, nonsense."""

    detail: str
    status: int | None = None


class Provider(Protocol):
    """A connection to somebody who delivers mail."""

    def send(
        self, email: OutgoingEmail, *, timeout_s: float
    ) -> Accepted | Refused | Ambiguous:
        """Hand over one mail; never raises for an answer, however odd."""
        ...
