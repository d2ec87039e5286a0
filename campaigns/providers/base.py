"""What every provider takes and answers. No vendor's word passes this module."""

from typing import Protocol

from campaigns.domain.answers import Answer
from campaigns.domain.mail import OutgoingEmail

__all__ = ["OutgoingEmail", "Provider"]


class Provider(Protocol):
    """A connection to somebody who delivers mail."""

    def problem(self, email: OutgoingEmail) -> str:
        """Return why the provider would never take this mail, '' if it would."""
        ...

    def send(self, email: OutgoingEmail, *, timeout_s: float) -> Answer:
        """Hand over one mail; never raises for an answer, however odd."""
        ...
