"""What every provider takes and answers. No vendor's word passes this module."""

from typing import Protocol

from campaigns.domain.answers import Answer
from campaigns.domain.mail import OutgoingEmail

__all__ = ["OutgoingEmail", "Provider", "Unfit"]


class Unfit(ValueError):
    """The provider would never take this mail; the message says why."""


class Provider(Protocol):
    """A connection to somebody who delivers mail."""

    def pack(self, email: OutgoingEmail) -> bytes:
        """Return the mail as `send` takes it. Raises Unfit."""
        ...

    def send(self, packed: bytes, *, timeout_s: float) -> Answer:
        """Hand over one mail; never raises for an answer, however odd."""
        ...
