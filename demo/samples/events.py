"""An event for each sample template, in the fields of Segment's e-commerce spec.

https://segment.com/docs/connections/spec/ecommerce/v2/ (field names only).
"""

from collections.abc import Mapping
from typing import Any, Final

CUSTOMER: Final[Mapping[str, Any]] = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Okafor",
    "timezone": "Europe/Paris",
}

_LAMP: Final = {
    "product_id": "507f1f77bcf86cd799439011",
    "sku": "LMP-041",
    "category": "Lighting",
    "name": "Ravello desk lamp",
    "brand": "Nordlys",
    "variant": "Brass",
    "price": 89.0,
    "quantity": 1,
    "url": "https://acorn-supply.example/lighting/ravello",
}
_NOTEBOOK: Final = {
    "product_id": "505bd76785ebb509fc183733",
    "sku": "NTB-120",
    "category": "Paper",
    "name": "Dotted notebook, A5",
    "brand": "Acorn Supply",
    "variant": "Sage",
    "price": 14.5,
    "quantity": 3,
    "url": "https://acorn-supply.example/paper/dotted-a5",
}

# By the template's slug: the event's name and its properties.
EVENTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "welcome": ("Signed Up", {"plan_name": "Studio", "type": "organic"}),
    "product_follow_up": ("Product Viewed", {**_LAMP, "currency": "EUR"}),
    "cart_reminder": (
        "Cart Updated",
        {
            "cart_id": "skdjsidjsdkdj29j",
            "currency": "EUR",
            "products": [_LAMP, _NOTEBOOK],
            "url": "https://acorn-supply.example/cart/skdjsidjsdkdj29j",
        },
    ),
    "receipt": (
        "Order Completed",
        {
            "checkout_id": "fksdjfsdjfisjf9sdfjsd9f",
            "order_id": "AS-10482",
            "cart_id": "skdjsidjsdkdj29j",
            "affiliation": "Acorn Supply",
            "subtotal": 132.5,
            "discount": 13.25,
            "coupon": "HELLO10",
            "shipping": 4.9,
            "tax": 21.74,
            "total": 145.89,
            "currency": "EUR",
            "products": [_LAMP, _NOTEBOOK],
        },
    ),
    "pricing_help": (
        "Visited Pricing Page",
        {"plan_name": "Studio", "url": "https://acorn-supply.example/pricing"},
    ),
}
