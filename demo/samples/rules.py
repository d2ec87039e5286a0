"""The five rules of the first start, as a marketer would enter them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from campaigns.domain.states import Kind

WEEKDAYS: Final = [0, 1, 2, 3, 4]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRule:
    """One rule of one step and one variant; `rule` and `step` are further columns.

    None is open to public keys: whoever reads one off a web page could have
    mail with words and links of his own sent to anybody.
    """

    name: str
    description: str
    events: tuple[str, ...]
    template: str
    kind: Kind = Kind.MARKETING
    rule: Mapping[str, Any] = field(default_factory=dict)
    step: Mapping[str, Any] = field(default_factory=dict)


ORDERED: Final = ("Order Completed", "order.completed")

RULES: Final = (
    SampleRule(
        name="Welcome",
        description="Greets everybody who signs up, at once and only once.",
        events=("Signed Up", "user.signup"),
        template="Welcome",
        rule={"cooldown_amount": 365, "cooldown_unit": "days"},
    ),
    SampleRule(
        name="Product follow-up",
        description="An hour after a look at a product; once a week at most.",
        events=("Product Viewed", "product.viewed"),
        template="Product follow-up",
        rule={"cooldown_amount": 7, "cooldown_unit": "days"},
        step={"delay_amount": 1, "delay_unit": "hours"},
    ),
    SampleRule(
        name="Cart recovery",
        description=(
            "Two hours after the last change of a cart, once a week for each cart, "
            "unless it was bought meanwhile."
        ),
        events=("Cart Updated", "cart.abandoned"),
        template="Cart reminder",
        rule={
            "cooldown_amount": 7,
            "cooldown_unit": "days",
            "cooldown_key": "cart_id",
            "retrigger": "restart",
            "exit_events": list(ORDERED),
            "exit_key": "cart_id",
            "goal_event": "Order Completed",
            "goal_amount": 7,
            "goal_unit": "days",
        },
        step={"delay_amount": 2, "delay_unit": "hours"},
    ),
    SampleRule(
        name="Receipt",
        description=(
            "The receipt of an order, at once, and once although the shop's page and "
            "its server both report the order."
        ),
        events=ORDERED,
        template="Receipt",
        kind=Kind.TRANSACTIONAL,
        # Orders without an order_id share one cooldown: it must be short, for
        # a receipt too many does less harm than one too few.
        rule={
            "cooldown_amount": 10,
            "cooldown_unit": "minutes",
            "cooldown_key": "order_id",
        },
    ),
    SampleRule(
        name="Pricing help",
        description=(
            "Offers help an hour after a visit to the prices, in office hours of the "
            "customer's own time zone."
        ),
        events=("Visited Pricing Page",),
        template="Pricing help",
        rule={"cooldown_amount": 14, "cooldown_unit": "days"},
        step={
            "delay_amount": 1,
            "delay_unit": "hours",
            "weekdays": WEEKDAYS,
            "send_from": "09:00",
            "send_until": "17:00",
        },
    ),
)
