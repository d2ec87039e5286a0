"""Mails worth looking at, for the first start. The html parts lie beside this file.

They use the events of Segment's e-commerce specification, and every field that
may be absent has a default, so that none of them is ever held back.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campaigns.domain.states import Kind

_HERE: Final = Path(__file__).parent

_NAMED: Final = (
    "{% assign first_name = customer.first_name | default: '' %}"
    "{% if first_name != '' %}, {{ first_name | capitalize }}{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTemplate:
    """One template; an empty `text` lets the text part be made from the html."""

    slug: str
    name: str
    kind: Kind
    subject: str
    preheader: str
    html: str
    text: str = ""


_CART_TEXT: Final = """\
Your cart is still here{% assign first_name = customer.first_name | default: '' %}{% if first_name != '' %}, {{ first_name | capitalize }}{% endif %}.

We kept everything as you left it.
{% if trigger.products %}{% assign lines = trigger.products %}{% else %}{% assign lines = trigger.items %}{% endif -%}
{% assign currency = trigger.currency | default: "USD" -%}
{% if lines %}{% for item in lines limit: 6 %}{% assign quantity = item.quantity | default: 1 %}
- {{ item.name | default: "Item" }} ({{ quantity }}){% if item.price %}: {{ item.price | times: quantity | money: currency }}{% endif %}
{%- endfor %}
{% endif %}
Back to your cart: {{ trigger.url | default: "https://example.com/cart" }}

Changed your mind? Leave it; this is the only reminder we send.
"""

_RECEIPT_TEXT: Final = """\
Thank you{% assign first_name = customer.first_name | default: '' %}{% if first_name != '' %}, {{ first_name | capitalize }}{% endif %}.

We have your order and are getting it ready. This is your receipt.

Order {{ trigger.order_id | default: "received" }}, {{ trigger.occurred_at | date: "%-d %B %Y" }}
{% assign currency = trigger.currency | default: "USD" -%}
{% if trigger.products %}{% for item in trigger.products %}{% assign quantity = item.quantity | default: 1 %}
- {{ item.name | default: "Item" }} ({{ quantity }}){% if item.price %}: {{ item.price | times: quantity | money: currency }}{% endif %}
{%- endfor %}
{% endif -%}
{% if trigger.subtotal %}
Subtotal: {{ trigger.subtotal | money: currency }}{% endif -%}
{% if trigger.discount %}
Discount: -{{ trigger.discount | money: currency }}{% endif -%}
{% if trigger.shipping %}
Shipping: {{ trigger.shipping | money: currency }}{% endif -%}
{% if trigger.tax %}
Tax: {{ trigger.tax | money: currency }}{% endif -%}
{% if trigger.total %}
Total: {{ trigger.total | money: currency }}{% endif %}

Something not right? Reply to this mail.
"""


def _html(slug: str) -> str:
    return (_HERE / f"{slug}.html").read_text(encoding="utf-8")


TEMPLATES: Final = (
    SampleTemplate(
        slug="welcome",
        name="Welcome",
        kind=Kind.MARKETING,
        subject="Welcome" + _NAMED,
        preheader="Your account is ready. Three things that people do first.",
        html=_html("welcome"),
    ),
    SampleTemplate(
        slug="product_follow_up",
        name="Product follow-up",
        kind=Kind.MARKETING,
        subject="Still thinking about "
        "{{ trigger.properties.name | default: 'it' | truncate: 50 }}?",
        preheader="Here it is again, should you want a second look.",
        html=_html("product_follow_up"),
    ),
    SampleTemplate(
        slug="cart_reminder",
        name="Cart reminder",
        kind=Kind.MARKETING,
        subject="Your cart is still here" + _NAMED,
        preheader="We kept everything as you left it.",
        html=_html("cart_reminder"),
        text=_CART_TEXT,
    ),
    SampleTemplate(
        slug="receipt",
        name="Receipt",
        kind=Kind.TRANSACTIONAL,
        subject="Your receipt"
        "{% if trigger.order_id %} for order {{ trigger.order_id }}{% endif %}",
        preheader="Thank you. We are getting your order ready.",
        html=_html("receipt"),
        text=_RECEIPT_TEXT,
    ),
    SampleTemplate(
        slug="pricing_help",
        name="Pricing help",
        kind=Kind.MARKETING,
        subject="Which plan fits? Ask a person",
        preheader="Three answers that price lists leave open.",
        html=_html("pricing_help"),
    ),
)
