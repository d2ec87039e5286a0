"""Lengths of time as people say them."""

from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Unit = Literal["minutes", "hours", "days", "weeks"]
CALENDAR_UNITS: Final = frozenset({"days", "weeks"})
MAX_AMOUNT: Final = 10_000_000

_SPAN: Final = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
}


class Duration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount of a unit. Whether a day is 24 hours or a date is the user's choice."""

    amount: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    unit: Unit

    def __str__(self) -> str:
        unit = self.unit[:-1] if self.amount == 1 else self.unit
        return f"{self.amount} {unit}"


# Learned while one thread imports, as all of a document (campaigns.domain.documents).
msgspec.json.Decoder(Duration)
NO_TIME: Final = Duration(amount=0, unit="minutes")


def elapsed(duration: Duration) -> timedelta:
    """Return its length with days of 24 hours."""
    return duration.amount * _SPAN[duration.unit]
