"""Every sample mail, with all its facts, with none, and with odd ones."""

import pytest

from campaigns.domain.states import Kind
from campaigns.rendering.preview import preview
from demo.samples.templates import TEMPLATES

FULL = {
    "cart_id": "c1",
    "order_id": "50314b8e",
    "currency": "EUR",
    "total": 57.5,
    "subtotal": 45,
    "tax": 7.5,
    "shipping": 5,
    "discount": 2.5,
    "coupon": "HELLO",
    "name": "Enamel kettle",
    "brand": "Falcon",
    "price": 48.9,
    "url": "https://shop.example/kettle",
    "image_url": "https://shop.example/kettle.png",
    "plan_name": "Studio",
    "products": [
        {"name": "Enamel kettle", "price": 48.9, "quantity": 2, "sku": "K-15"},
        {"price": "3.20", "image_url": ""},
        {},
    ],
}
BY_SLUG = {sample.slug: sample for sample in TEMPLATES}


def shown(slug, properties, customer):
    sample = BY_SLUG[slug]
    return preview(
        sample.subject,
        sample.preheader,
        sample.html,
        sample.text,
        {"name": "Product Viewed", "properties": properties},
        customer,
    )


@pytest.mark.parametrize("slug", BY_SLUG)
@pytest.mark.parametrize("properties", [FULL, {}, {"products": []}, {"items": [{}]}])
@pytest.mark.parametrize("customer", [{"first_name": "ana"}, {}, {"first_name": ""}])
def test_no_sample_is_ever_held_back(slug, properties, customer):
    made = shown(slug, properties, customer)
    assert made.problems == ()
    assert made.subject
    assert len(made.html.encode()) < 102_000
    assert "Hello ," not in made.html
    assert " ." not in made.text


def test_the_cart_lists_its_lines_with_their_sums():
    made = shown("cart_reminder", FULL, {})
    assert "Enamel kettle" in made.html
    assert "€97.80" in made.html
    assert "- Enamel kettle (2): €97.80" in made.text
    assert 'src=""' not in made.html


def test_the_receipt_adds_up_and_is_transactional():
    made = shown("receipt", FULL, {"first_name": "ana"})
    assert "Thank you, Ana." in made.html
    assert "Total: €57.50" in made.text
    assert BY_SLUG["receipt"].kind is Kind.TRANSACTIONAL
    assert made.subject == "Your receipt for order 50314b8e"


def test_an_events_name_is_not_taken_for_a_product():
    made = shown("product_follow_up", {}, {})
    assert made.subject == "Still thinking about it?"
    assert "Product Viewed" not in made.html
