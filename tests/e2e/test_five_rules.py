"""The sample rules' stories: from Segment's official SDK to the inbox."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from campaigns.domain.states import JourneyState, MessageState
from campaigns.models import Attempt, Event, Message, Timer
from demo.samples.events import EVENTS
from tests.e2e.shop import decisions, the_journey, the_message

pytestmark = pytest.mark.django_db(transaction=True)

LAMP = EVENTS["product_follow_up"][1]
CART = EVENTS["cart_reminder"][1]
ORDER = EVENTS["receipt"][1]
POSTAL = ("Acorn Supply Ltd", "1 Oak Street", "12345 Springfield")


def assert_marketing(mail):
    """What the law and the mailboxes want of mail that nobody asked for."""
    headers = mail["headers"]
    link = headers["List-Unsubscribe"].strip("<>")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link.startswith("http://localhost")
    assert link in mail["html"]
    assert link in mail["text"]
    assert mail["categories"] == ["marketing"]
    assert_signed_by_us(mail)


def assert_signed_by_us(mail):
    for line in POSTAL:
        assert line in mail["html"]
        assert line in mail["text"]
    assert (mail["from"], mail["from_name"]) == (
        "hello@acorn-supply.example",
        "Acorn Supply",
    )
    message = the_message(mail)
    assert message.state == MessageState.SENT
    assert message.provider_message_id == mail["id"]
    attempt = Attempt.objects.get(message=message)
    assert mail["custom_args"] == {
        "et_message": str(message.pk),
        "et_token": str(attempt.pk),
    }


# --- Welcome ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Signed Up", "user.signup"])
def test_who_signs_up_is_welcomed_at_once_and_by_name(shop, name):
    shop.knows("u1", first_name="ada")
    shop.reports(name, {"plan_name": "Studio"})
    (mail,) = shop.inbox()
    assert (mail["to"], mail["to_name"]) == ("u1@example.com", "ada")
    assert mail["subject"] == "Welcome, Ada"
    assert "Good to have you here, Ada." in mail["html"]
    assert "Studio" in mail["text"]
    assert_marketing(mail)


def test_who_signs_up_twice_is_welcomed_once(shop):
    shop.knows()
    shop.reports("Signed Up")
    shop.passes(days=2)
    shop.reports("Signed Up")
    assert shop.subjects() == ["Welcome, Ada"]
    assert decisions("Signed Up") == ["entered", "cooldown"]


def test_a_name_that_nobody_knows_leaves_no_gap(shop):
    shop.knows(first_name=None)
    shop.reports("Signed Up")
    (mail,) = shop.inbox()
    assert mail["subject"] == "Welcome"
    assert "Good to have you here." in mail["html"]


def test_who_has_no_address_gets_nothing_and_the_message_says_why(shop):
    shop.reports("Signed Up", user="u2")
    assert shop.inbox() == []
    assert Message.objects.get().reason == "no_address"


# --- Product follow-up ----------------------------------------------------------


@pytest.mark.parametrize("name", ["Product Viewed", "product.viewed"])
def test_five_views_give_one_mail_an_hour_after_the_first(shop, name):
    shop.knows()
    for place in range(5):
        shop.reports(name, {**LAMP, "position": place})
        shop.passes(minutes=5)
    shop.passes(minutes=34)
    assert shop.inbox() == []
    shop.passes(minutes=1)
    (mail,) = shop.inbox()
    assert mail["subject"] == "Still thinking about Ravello desk lamp?"
    assert "Ada, you had a look at this earlier." in mail["html"]
    assert "€89.00" in mail["html"]
    assert_marketing(mail)
    assert decisions(name) == ["entered"] + ["cooldown"] * 4
    shop.passes(days=3)
    assert len(shop.inbox()) == 1


def test_the_next_week_a_view_counts_again(shop):
    shop.knows()
    shop.reports("Product Viewed", LAMP)
    shop.passes(days=7, hours=1)
    shop.reports("Product Viewed", LAMP)
    shop.passes(hours=1)
    assert len(shop.inbox()) == 2


# --- Cart recovery --------------------------------------------------------------


@pytest.mark.parametrize("name", ["Cart Updated", "cart.abandoned"])
def test_a_cart_left_alone_gives_one_mail_two_hours_after_its_last_change(shop, name):
    shop.knows()
    shop.reports(name, {**CART, "products": CART["products"][:1]})
    shop.passes(minutes=90)
    shop.reports(name, CART)
    shop.passes(minutes=119)
    assert shop.inbox() == []
    shop.passes(minutes=1)
    (mail,) = shop.inbox()
    assert mail["subject"] == "Your cart is still here, Ada"
    assert "Ravello desk lamp" in mail["html"]
    assert "- Dotted notebook, A5 (3): €43.50" in mail["text"]
    assert CART["url"] in mail["html"]
    assert_marketing(mail)
    assert decisions(name) == ["entered", "restarted"]
    shop.passes(days=2)
    assert len(shop.inbox()) == 1


def test_each_cart_has_its_own_reminder(shop):
    shop.knows()
    shop.reports("Cart Updated", {**CART, "cart_id": "one"})
    shop.reports("Cart Updated", {**CART, "cart_id": "two"})
    shop.passes(hours=2)
    assert len(shop.inbox()) == 2


@pytest.mark.parametrize("name", ["Order Completed", "order.completed"])
def test_a_cart_bought_within_the_wait_gives_no_reminder(shop, name):
    shop.knows()
    shop.reports("Cart Updated", CART)
    shop.passes(hours=1)
    shop.reports(name, ORDER)
    shop.passes(hours=3)
    assert shop.subjects() == ["Your receipt for order AS-10482"]
    journey = the_journey("Cart recovery")
    order = Event.objects.get(name=name)
    assert journey.state == JourneyState.EXITED
    assert journey.cause["event"] == order.pk
    assert journey.cause["name"] == name


def test_the_order_of_another_cart_changes_nothing(shop):
    shop.knows()
    shop.reports("Cart Updated", CART)
    shop.reports("Order Completed", {**ORDER, "cart_id": "another"})
    shop.passes(hours=2)
    assert shop.subjects()[1:] == ["Your cart is still here, Ada"]


def test_an_order_that_arrives_before_the_carts_event_gives_no_reminder(shop):
    shop.knows()
    shop.reports("Order Completed", ORDER)
    earlier = timezone.now() - timedelta(minutes=10)  # by the SDK's own clock
    shop.reports("Cart Updated", CART, timestamp=earlier)
    shop.passes(hours=3)
    assert shop.subjects() == ["Your receipt for order AS-10482"]
    assert decisions("Cart Updated") == ["already_exited"]


def test_an_order_of_a_visitor_who_is_known_later_gives_no_reminder(shop):
    shop.knows()
    shop.reports("Cart Updated", CART)
    shop.passes(minutes=30)
    shop.reports("Order Completed", ORDER, anonymous_id="visitor-9")
    shop.passes(minutes=30)
    shop.links("u1", "visitor-9")
    shop.passes(hours=3)
    assert "Your cart is still here, Ada" not in shop.subjects()
    journey = the_journey("Cart recovery")
    assert journey.state == JourneyState.EXITED
    assert journey.cause["event"] == Event.objects.get(name="Order Completed").pk


# --- Receipt --------------------------------------------------------------------


def test_an_order_gives_its_receipt_at_once_which_nobody_can_refuse(shop):
    shop.knows()
    shop.reports("Order Completed", ORDER)
    (mail,) = shop.inbox()
    assert mail["subject"] == "Your receipt for order AS-10482"
    assert "Thank you, Ada." in mail["html"]
    assert "Total: €145.89" in mail["text"]
    assert not [name for name in mail["headers"] if name.startswith("List-")]
    assert "nsubscribe" not in mail["html"] + mail["text"]
    assert mail["categories"] == ["transactional"]
    assert_signed_by_us(mail)


def test_page_and_server_both_report_an_order_and_one_receipt_leaves(shop):
    shop.knows()
    shop.reports("Order Completed", ORDER)
    shop.reports("order.completed", ORDER)
    shop.reports("order.completed", {**ORDER, "order_id": "AS-10483"})
    assert shop.subjects() == [
        "Your receipt for order AS-10482",
        "Your receipt for order AS-10483",
    ]


# --- Pricing help ---------------------------------------------------------------


def test_help_with_prices_comes_an_hour_later_within_office_hours(shop):
    shop.knows(timezone="America/New_York")
    shop.reports("Visited Pricing Page", {"plan_name": "Studio"})
    shop.passes(minutes=59)
    assert shop.inbox() == []
    shop.passes(minutes=1)
    (mail,) = shop.inbox()
    assert mail["subject"] == "Which plan fits? Ask a person"
    assert "Hello Ada," in mail["html"]
    assert_marketing(mail)


def test_help_waits_for_monday_nine_in_the_customers_zone(shop, clock):
    # 16:30 on Friday, and New York's clocks change on Sunday.
    shop.knows(timezone="America/New_York")
    shop.passes(hours=6, minutes=30)
    shop.reports("Visited Pricing Page")
    shop.passes(hours=2)
    assert shop.inbox() == []
    opens = datetime(2026, 3, 9, 13, tzinfo=UTC)
    assert Timer.objects.get().due_at == opens
    shop.clock.pass_by(opens - clock.now() - timedelta(seconds=1))
    shop.work()
    assert shop.inbox() == []
    shop.passes(seconds=2)
    (mail,) = shop.inbox()
    assert the_message(mail).sending_at - opens < timedelta(seconds=2)


def test_another_zone_has_other_office_hours(shop, clock):
    # 10:00 on Friday in New York is midnight in Tokyo, where Saturday begins.
    shop.knows(timezone="Asia/Tokyo")
    shop.reports("Visited Pricing Page")
    shop.passes(hours=10)
    assert shop.inbox() == []
    opens = datetime(2026, 3, 9, tzinfo=UTC)
    assert Timer.objects.get().due_at == opens
    shop.clock.pass_by(opens - clock.now() - timedelta(seconds=1))
    shop.work()
    assert shop.inbox() == []
    shop.passes(seconds=2)
    assert len(shop.inbox()) == 1
