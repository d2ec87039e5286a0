"""What a person does about mails that wait for one."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission

from campaigns.domain.answers import Accepted, Ambiguous
from campaigns.domain.events import EventType
from campaigns.journeys.advance import advance_due
from campaigns.models import Attempt, Customer, Journey, Message, TemplateVersion
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.operator import (
    NotPossible,
    discard,
    give_up,
    redrive,
    release,
)
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle
from tests.db.world import lasts, step

pytestmark = pytest.mark.django_db


def held(world, steps=1):
    """A mail that its template could not make, with the template's row."""
    broken = world.template(html="<p>{{ event.missing }}</p>")
    made = [
        step(variants=[{"template_version": broken}]),
        *(step() for _ in range(steps - 1)),
    ]
    world.rule("welcome", "Signed Up", steps=made)
    world.known("ann")
    world.does("ann", "Signed Up")
    world.work()
    message = Message.objects.get()
    assert (message.state, message.reason) == ("held", "template_error")
    assert "missing" in message.detail["problem"]
    return message, TemplateVersion.objects.get(pk=broken).template


def unknown(world, **document):
    """A mail that the provider never answered about."""
    world.rule("welcome", "Signed Up", **document)
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    claims = claim(limit=1)
    (sent,) = begin(claims, prepare(claims))
    settle(sent.customer, sent.mail, sent.token, Ambiguous("timed out"))
    message = Message.objects.get()
    assert message.state == "unknown"
    return message


def test_a_mended_template_releases_what_was_held(world):
    message, template = held(world)
    TemplateVersion.objects.create(
        template=template,
        number=2,
        subject="Hello",
        html="<p>Mended</p>",
        published_at=world.clock.now(),
    )
    release(message.pk)
    world.work()
    message.refresh_from_db()
    assert message.state == "sent"
    assert message.template_version.number == 2
    with pytest.raises(NotPossible, match="is sent; only one that is held"):
        release(message.pk)


def test_a_discarded_mail_is_never_sent_and_its_journey_goes_on(world):
    message, _ = held(world, steps=2)
    discard(message.pk)
    world.work()
    states = Message.objects.order_by("step").values_list("state", "reason")
    assert list(states) == [("cancelled", "discarded"), ("sent", "")]


def test_an_unknown_mail_is_sent_again_only_by_a_person_and_not_too_soon(world):
    message = unknown(world)
    with pytest.raises(NotPossible, match="30 minutes"):
        redrive(message.pk)
    world.work()
    message.refresh_from_db()
    assert message.state == "unknown"
    world.clock.time = world.clock.now() + timedelta(minutes=31)
    redrive(message.pk)
    world.work()
    message.refresh_from_db()
    assert message.state == "sent"
    states = Attempt.objects.order_by("started_at").values_list("state", flat=True)
    assert list(states) == ["ambiguous", "accepted"]


def test_what_has_evidence_is_not_sent_again(world):
    message = unknown(world)
    Message.objects.update(evidence_at=world.clock.now())
    world.clock.time = world.clock.now() + timedelta(minutes=31)
    with pytest.raises(NotPossible, match="evidence"):
        redrive(message.pk)


@pytest.mark.parametrize("first", ["redrive", "exit"])
def test_an_exit_after_its_journey_ended_stops_a_mail_that_is_sent_again(world, first):
    message = unknown(world, exit={"events": ["Order"], "key": None})
    steps = [lambda: redrive(message.pk), lambda: world.does("ann", "Order")]
    world.clock.time = world.clock.now() + timedelta(minutes=31)
    for do in steps if first == "redrive" else reversed(steps):
        do()
        world.clock.time = world.clock.now() + timedelta(minutes=1)
    world.work()
    message.refresh_from_db()
    assert (message.state, message.reason) == ("skipped", "exited")
    assert message.detail["name"] == "Order"


def test_a_mail_of_a_merged_journey_is_not_sent_again_beside_the_other_s(world):
    world.rule("cart", "Cart", steps=[step(), step(delay=lasts(1, "days"))])
    world.known("ann")
    visitor = {"anonymous_id": "x", "traits": {"email": "ann@example.com"}}
    world.post(world.event(EventType.IDENTIFY, **visitor))
    world.post(world.event(name="Cart", anonymous_id="x"))
    world.clock.time += timedelta(minutes=1)
    world.does("ann", "Cart")
    advance_due()
    answers = {"user:ann": Ambiguous("timed out"), "anon:x": Accepted("p1")}
    claims = claim(limit=2)
    for sent in begin(claims, prepare(claims)):
        born_as = Customer.objects.get(pk=sent.customer).born_as
        settle(sent.customer, sent.mail, sent.token, answers[born_as])
    world.post(world.event(EventType.IDENTIFY, user_id="ann", anonymous_id="x"))
    assert set(Journey.objects.values_list("state", flat=True)) == {"waiting", "merged"}
    world.clock.time += timedelta(minutes=40)
    redrive(Message.objects.get(state="unknown").pk)
    world.work()
    assert sorted(mail[3:] for mail in world.mails()) == [
        ("sent", ""), ("skipped", "exited")
    ]  # fmt: skip


def test_a_suppressed_address_stops_a_mail_that_is_sent_again(world):
    from campaigns.deciding.suppressing import suppress
    from campaigns.domain.states import SuppressionReason

    message = unknown(world)
    suppress("ann@example.com", reason=SuppressionReason.COMPLAINT, origin="test")
    world.clock.time = world.clock.now() + timedelta(minutes=31)
    redrive(message.pk)
    world.work()
    message.refresh_from_db()
    assert (message.state, message.reason) == ("skipped", "suppressed")


def test_the_mail_s_page_offers_what_can_be_done_and_does_it(world, admin_client):
    message, _ = held(world)
    page = admin_client.get(f"/admin/campaigns/message/{message.pk}/change/")
    assert "Release, with the newest words" in page.content.decode()
    address = f"/admin/campaigns/message/{message.pk}/discard/act/"
    assert admin_client.get(address).status_code == 405
    assert admin_client.post(address).status_code == 302
    message.refresh_from_db()
    assert (message.state, message.reason) == ("cancelled", "discarded")
    again = admin_client.post(address, follow=True).content.decode()
    assert "only one that is held can be discarded" in again


def test_who_may_only_look_may_not_act(world, client, django_user_model):
    message, _ = held(world)
    user = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_message"))
    client.force_login(user)
    page = client.get(f"/admin/campaigns/message/{message.pk}/change/")
    assert page.status_code == 200
    assert "Release" not in page.content.decode()
    address = f"/admin/campaigns/message/{message.pk}/discard/act/"
    assert client.post(address).status_code == 403


def test_a_late_answer_settles_nothing_after_a_mail_was_given_up(world):
    message = unknown(world)
    give_up(message.pk)
    settle(message.customer_id, message.pk, message.token, Accepted("late"))
    message.refresh_from_db()
    assert (message.state, message.reason) == ("failed", "given_up")
