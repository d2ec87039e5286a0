"""How a provider answered one hand-over."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Refusal(StrEnum):
    """Why a provider surely has not taken a mail."""

    NOT_REACHED = "not_reached"  # connection refused, DNS, TLS: try again
    RATE_LIMITED = "rate_limited"  # 429: everybody waits, the attempt is free
    UNAUTHORISED = "unauthorised"  # 401, 403: the provider is paused
    NOT_TRIED = "not_tried"  # it waited for its turn too long: the attempt is free
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


Answer = Accepted | Refused | Ambiguous
