"""Events of customers picked at random, always the same ones for the same seed."""

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Final

from bench.world import ENTERS, PASSES
from campaigns.domain.events import EventType, IncomingEvent

SEED: Final = 20_260_302
CONTEXT: Final = {"page": {"url": "https://shop.example/"}, "ip": "192.0.2.4"}


class Feed:
    """Makes events with ids of their own; counts those that start a journey."""

    def __init__(self, name: str, *, people: int, at: datetime) -> None:
        """Take a name that begins every message id, and how many customers there are."""
        self.entering = 0
        self.made = 0
        self._name = name
        self._people = people
        self._at = at
        self._random = Random(SEED)

    def batches(
        self, n: int, *, size: int, share: float, names: int = 0
    ) -> list[list[IncomingEvent]]:
        """Return `n` events in batches; a `share` of them starts journeys.

        With `names`, those are called "Added 0" to `names` - 1.
        """
        return [self._batch(size, share, names) for _ in range(max(1, n // size))]

    def _batch(self, size: int, share: float, names: int) -> list[IncomingEvent]:
        return [
            self._event(entering=self._random.random() < share, names=names)
            for _ in range(size)
        ]

    def _event(self, *, entering: bool, names: int) -> IncomingEvent:
        self.made += 1
        self.entering += entering
        name = f"{ENTERS} {self.made % names}" if names else ENTERS
        return IncomingEvent(
            message_id=f"{self._name}-{self.made}",
            type=EventType.TRACK,
            name=name if entering else PASSES,
            user_id=f"u{self._random.randint(1, self._people)}",
            properties={
                "cart_id": f"{self._name}-{self.made}",
                "price": 12.5,
                "sku": "A-1",
                "title": "A fine thing",
                "url": "https://shop.example/p/1",
            },
            context=CONTEXT,
            occurred_at=self._at,
        )


def total(batches: Sequence[Sequence[IncomingEvent]]) -> int:
    """Return how many events these are."""
    return sum(map(len, batches))
