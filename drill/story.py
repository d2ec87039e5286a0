"""What the customers do, and which mails they must have of it: pure, by number.

Event `n` of a drill belongs to a cycle of 40. The rules are the samples' own: a
welcome at once, a follow-up an hour after a look at a product, a reminder two hours
after a cart that nobody bought, a receipt for each order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

CYCLE: Final = 40
SIGNED_UP_EVERY: Final = 4
LEAVES: Final = 0  # signs up, looks at a product, then unsubscribes
LOOKS: Final = 20  # signs up and looks at a product
BUYS: Final = 4  # signs up, fills a cart, buys it some cycles later
FORGETS: Final = 24  # signs up, fills a cart, forgets it
ORDER_STEP: Final = 6
ORDER_AFTER: Final = 3  # cycles
FOLLOW_UP_S: Final = 3600.0
REMINDER_S: Final = 7200.0


class Kind(StrEnum):
    """Which rule a mail is of."""

    WELCOME = "welcome"
    FOLLOW_UP = "follow-up"
    REMINDER = "reminder"
    RECEIPT = "receipt"


SUBJECTS: Final = {
    "Welcome": Kind.WELCOME,
    "Still thinking about": Kind.FOLLOW_UP,
    "Your cart is still here": Kind.REMINDER,
    "Your receipt": Kind.RECEIPT,
}


def kind_of(subject: str) -> Kind:
    """Return which rule's mail has such a subject; raises ValueError for others."""
    for start, kind in SUBJECTS.items():
        if subject.startswith(start):
            return kind
    raise ValueError(f"no rule of the samples has the subject {subject!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A mail that event `number` leads to, `delay_s` later unless it is stopped.

    `stopped_by` is the event that stops it; `leaves` says that the customer stops
    it by the unsubscribe link of the welcome.
    """

    address: str
    kind: Kind
    number: int
    delay_s: float = 0.0
    stopped_by: int | None = None
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """`total` events whose ids and addresses begin with `name`."""

    name: str
    total: int
    speed: int = 1

    def message_id(self, number: int) -> str:
        """Return the id of an event."""
        return f"{self.name}-{number}"

    def address(self, number: int) -> str:
        """Return the address of the customer who signs up with event `number`."""
        return f"{self.name}-{number}@example.com"

    def leaves(self, address: str) -> bool:
        """Return whether the customer of that address unsubscribes when welcomed."""
        start, _, rest = address.rpartition("-")
        number = rest.partition("@")[0]
        return start == self.name and int(number) % CYCLE == LEAVES

    def event(self, number: int, at: datetime) -> dict[str, object]:
        """Return an event as Segment's SDKs word it; it happened at `at`."""
        step = number % CYCLE
        if step == ORDER_STEP and number >= ORDER_AFTER * CYCLE:
            return self._order(number, at)
        person = number - step % SIGNED_UP_EVERY
        if number == person:
            traits = {"email": self.address(number), "first_name": "Ada"}
            signed_up = self._track(number, person, "Signed Up", at)
            return signed_up | {"context": {"traits": traits}}
        did, properties = "Button Clicked", {"number": str(number)}
        if step in (LEAVES + 1, LOOKS + 1):
            did, properties = "Product Viewed", {"name": "Lamp"}
        elif step in (BUYS + 1, FORGETS + 1):
            did, properties = "Cart Updated", {"cart_id": self._cart(person)}
        return self._track(number, person, did, at) | {"properties": properties}

    def wanted(self) -> Iterator[Wanted]:
        """Return all mails that these events lead to."""
        for person in range(0, self.total, SIGNED_UP_EVERY):
            address, step = self.address(person), person % CYCLE
            yield Wanted(address=address, kind=Kind.WELCOME, number=person)
            number = person + 1
            if number >= self.total:
                continue
            if step in (LEAVES, LOOKS):
                yield Wanted(
                    address=address,
                    kind=Kind.FOLLOW_UP,
                    number=number,
                    delay_s=FOLLOW_UP_S / self.speed,
                    leaves=step == LEAVES,
                )
            elif step in (BUYS, FORGETS):
                yield from self._cart_mails(address, person, bought=step == BUYS)

    def _cart_mails(
        self, address: str, person: int, *, bought: bool
    ) -> Iterator[Wanted]:
        order: int | None = person - BUYS + ORDER_STEP + ORDER_AFTER * CYCLE
        if not bought or (order is not None and order >= self.total):
            order = None
        yield Wanted(
            address=address,
            kind=Kind.REMINDER,
            number=person + 1,
            delay_s=REMINDER_S / self.speed,
            stopped_by=order,
        )
        if order is not None:
            yield Wanted(address=address, kind=Kind.RECEIPT, number=order)

    def _order(self, number: int, at: datetime) -> dict[str, object]:
        person = number - ORDER_STEP + BUYS - ORDER_AFTER * CYCLE
        properties = {
            "cart_id": self._cart(person),
            "order_id": f"{self.name}-order-{person}",
        }
        # A backend's order names its customer: it may overtake a sign-up tried again.
        traits = {"email": self.address(person)}
        ordered = self._track(number, person, "Order Completed", at)
        return ordered | {"properties": properties, "context": {"traits": traits}}

    def _cart(self, person: int) -> str:
        return f"{self.name}-cart-{person}"

    def _track(
        self, number: int, person: int, did: str, at: datetime
    ) -> dict[str, object]:
        return {
            "type": "track",
            "messageId": self.message_id(number),
            "userId": f"{self.name}-user-{person}",
            "event": did,
            "timestamp": at.isoformat(),
        }
