"""A mail under way when its customer turns out to be another, and another again."""

import pytest

from campaigns.deciding import clock
from campaigns.domain.answers import Accepted
from campaigns.domain.events import EventType
from campaigns.journeys.advance import advance_due
from campaigns.models import Customer, Message
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle
from tests.db.world import Clock, World

pytestmark = pytest.mark.django_db


def merge(world, user, *, into):
    world.post(world.event(EventType.ALIAS, user_id=into, previous_id=user))


def test_it_is_settled_although_the_customer_was_merged_twice_meanwhile():
    still = Clock()
    with clock.use(still):
        world = World(still)
        world.rule("welcome", "Signed Up", exit={"events": ["Left"], "key": None})
        for user in ("ann", "bob", "cleo"):
            world.known(user)
        world.does("cleo", "Signed Up")
        advance_due()
        claims = claim(limit=1)
        (sent,) = begin(claims, prepare(claims))
        merge(world, "cleo", into="bob")  # moves the mail with its journey
        world.does("cleo", "Left")  # ends the journey: the next merge moves no mail
        merge(world, "bob", into="ann")
        assert Customer.objects.filter(merged_into=None).count() == 1
        settle(sent.customer, sent.mail, sent.token, Accepted("p1"))
    message = Message.objects.get()
    assert (message.state, message.provider_message_id) == ("sent", "p1")
