"""What comes back of the sample rules' mails, and the samples themselves."""

import urllib.request
from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.domain.states import MessageState
from campaigns.feedback import apply as feedback
from campaigns.models import (
    Journey,
    Message,
    Rule,
    Source,
    Subscription,
    TemplateVersion,
    WebhookEndpoint,
)
from demo.samples.events import EVENTS
from demo.seed import seed
from tests.e2e.live import fresh_start
from tests.e2e.shop import KEY, the_message

pytestmark = pytest.mark.django_db(transaction=True)

LAMP = EVENTS["product_follow_up"][1]
ORDER = EVENTS["receipt"][1]


def post(url, body):
    request = urllib.request.Request(url, data=body, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


@pytest.fixture
def signed_back(shop, live_server, simulator, clock):
    """Let the simulator's signed webhooks in, which live in real time."""
    clock.pass_by(timezone.now() - clock.now() + timedelta(seconds=30))
    endpoint = WebhookEndpoint.objects.create(
        slug="simulator", public_keys=[simulator.public_key]
    )
    simulator.webhooks.url = live_server.url + endpoint.path()

    def arrived():
        queue = simulator.webhooks
        with queue._wake:
            assert queue._wake.wait_for(lambda: not queue.pending(), timeout=20)
        return feedback.drain()

    return arrived


def test_the_signed_webhook_tells_that_the_mail_was_delivered(
    shop, simulator, signed_back
):
    shop.knows()
    shop.reports("Signed Up")
    (mail,) = shop.inbox()
    assert the_message(mail).delivered_at is None
    assert signed_back() >= 1
    message = the_message(mail)
    assert abs(message.delivered_at - timezone.now()) < timedelta(minutes=1)
    assert message.state == MessageState.SENT
    assert message.opened_at is None

    simulator.event(mail["id"], "open")
    signed_back()
    assert the_message(mail).opened_at is not None


def test_a_hard_bounce_stops_even_the_receipt(shop, simulator, signed_back):
    shop.knows()
    shop.reports("Signed Up")
    (mail,) = shop.inbox()
    simulator.event(mail["id"], "bounce")
    signed_back()
    shop.reports("Order Completed", ORDER)
    assert len(shop.inbox()) == 1
    newest = Message.objects.latest("id")
    assert (newest.state, newest.reason) == (MessageState.SKIPPED, "suppressed")


def test_one_click_stops_the_next_marketing_mail_but_not_the_receipt(shop):
    shop.knows()
    shop.reports("Signed Up")
    shop.reports("Product Viewed", LAMP)
    (mail,) = shop.inbox()
    link = mail["headers"]["List-Unsubscribe"].strip("<>")
    assert post(link, b"List-Unsubscribe=One-Click") == 200
    assert Subscription.objects.get().subscribed is False

    shop.passes(hours=1)
    shop.reports("Order Completed", ORDER)
    assert shop.subjects() == ["Welcome, Ada", "Your receipt for order AS-10482"]
    follow_up = Message.objects.get(rule__name="Product follow-up")
    assert follow_up.state == MessageState.SKIPPED
    assert follow_up.reason == "suppressed"
    assert follow_up.detail == {"because": ["unsubscribed"]}


# --- The samples themselves -----------------------------------------------------


def test_every_mail_reads_well_with_the_templates_own_sample(shop):
    shop.knows(timezone="America/New_York")
    for name, properties in EVENTS.values():
        shop.reports(name, {**properties, "cart_id": name})
    shop.passes(hours=2)
    assert len(shop.inbox()) == 5
    for mail in shop.inbox():
        assert "{{" not in mail["html"] + mail["text"] + mail["subject"]
        assert "None" not in mail["text"]


def test_seeding_again_changes_nothing(shop):
    before = list(Rule.objects.order_by("pk").values())
    seed(write_key="another", live=True)
    assert list(Rule.objects.order_by("pk").values()) == before
    assert Source.objects.count() == 2


def test_with_a_real_provider_the_samples_are_drafts(transactional_db):
    fresh_start()
    seed(write_key=KEY, live=False)
    assert set(Rule.objects.values_list("status", flat=True)) == {"draft"}
    assert Rule.objects.count() == TemplateVersion.objects.count() == 5
    assert not Journey.objects.exists()
