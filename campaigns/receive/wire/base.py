"""What every dialect's parser hands back, and how it refuses a whole body."""

from dataclasses import dataclass

from campaigns.domain.events import IncomingEvent, RejectedInput


class BadBody(Exception):
    """The body as a whole cannot be read: a stable word and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Parsed:
    """The events of one request in their order, and those that were refused."""

    events: tuple[IncomingEvent, ...]
    rejected: tuple[RejectedInput, ...] = ()
