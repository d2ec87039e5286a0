"""Clicks and suppressions against what is queued, and against the gate at work."""

import threading
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.db.transaction import atomic
from django.test import Client
from django.utils import timezone

from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import suppress, unsubscribe
from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.domain.states import SuppressionReason
from campaigns.ingest import partitions
from campaigns.ingest.record import record
from campaigns.journeys.advance import advance_due
from campaigns.models import (
    Customer,
    Message,
    Source,
    Suppression,
)
from campaigns.rendering.links import unsubscribe_url
from campaigns.sending import gate as gate_module
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from tests.db.locks import wait_until_somebody_waits_for_a_lock
from tests.db.mail_rows import a_rule, a_topic

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def topic(db):
    return a_topic()


def path_to(customer, topic, *, mail=1):
    url = unsubscribe_url(mail, customer.pk, topic, address_hash(customer.email))
    return urlsplit(url).path


def signed_up(email, *, topic):
    """A person whose mail about the topic is queued, by the engine's own way."""
    source = Source.objects.create(name=f"web {email}")
    now = timezone.now()
    partitions.create(now)
    events = [
        IncomingEvent(
            message_id=f"i-{email}",
            type=EventType.IDENTIFY,
            user_id=email,
            traits={"email": email},
            occurred_at=now,
        ),
        IncomingEvent(
            message_id=f"t-{email}",
            type=EventType.TRACK,
            name="Signed Up",
            user_id=email,
            occurred_at=now,
        ),
    ]
    done = record(events, source=SourceRef(source.pk, source.name, Trust.SECRET))
    assert done.rejected == 0
    advance_due()
    mail = Message.objects.get(customer_id=Customer.objects.get(email=email).pk)
    assert mail.state == "queued"
    return mail


def gate_all():
    """Claim and gate what is queued; return the ids that would be handed over."""
    claims = claim(limit=10)
    return [begun.mail for begun in begin(claims, prepare(claims))]


@pytest.mark.django_db
class TestQueuedMail:
    @pytest.mark.parametrize("scope", ["topic", "all"])
    def test_what_is_queued_when_the_link_is_used_never_leaves(
        self, client, topic, scope
    ):
        a_rule(topic)
        stopped = signed_up("ada@example.com", topic=topic)
        other = signed_up("bob@example.com", topic=topic)
        ada = Customer.objects.get(email="ada@example.com")
        client.post(path_to(ada, topic.pk) + f"?scope={scope}")
        assert gate_all() == [other.pk]
        stopped.refresh_from_db()
        assert (stopped.state, stopped.reason) == ("skipped", "suppressed")
        assert stopped.detail == {"because": ["unsubscribed"]}

    def test_who_left_by_another_address_is_not_mailed_at_the_new_one(
        self, client, topic
    ):
        a_rule(topic)
        mail = signed_up("ada@example.com", topic=topic)
        ada = Customer.objects.get(email="ada@example.com")
        link = path_to(ada, topic.pk)
        Customer.objects.filter(pk=ada.pk).update(email="new@example.com")
        client.post(link, ONE_CLICK)
        assert gate_all() == []
        mail.refresh_from_db()
        assert (mail.state, mail.reason) == ("skipped", "unsubscribed")

    def test_a_receipt_still_leaves(self, client, topic):
        a_rule(topic, kind="transactional")
        mail = signed_up("ada@example.com", topic=topic)
        ada = Customer.objects.get(email="ada@example.com")
        client.post(path_to(ada, None), ONE_CLICK)
        assert gate_all() == [mail.pk]


@pytest.fixture
def gate_paused(monkeypatch):
    """The gate stops after it has read what the address allows, until it is let go."""
    reading, go_on = threading.Event(), threading.Event()
    real = gate_module.permissions_of

    def read_and_wait(*args, **kwargs):
        facts = real(*args, **kwargs)
        reading.set()
        assert go_on.wait(20)
        return facts

    monkeypatch.setattr(gate_module, "permissions_of", read_and_wait)
    return reading, go_on


def in_thread(work, into):
    def run():
        try:
            into.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_a_click_between_the_gates_reading_and_its_commit_waits_for_it(gate_paused):
    """Two connections. `sending` is committed first, so the mail may leave; the
    click is answered only after that, and the next mail is stopped by it."""
    topic = a_topic()
    a_rule(topic)
    mail = signed_up("ada@example.com", topic=topic)
    link = path_to(Customer.objects.get(email="ada@example.com"), topic.pk)
    reading, go_on = gate_paused
    gone, answers = [], []
    gate = in_thread(gate_all, gone)
    assert reading.wait(20)
    click = in_thread(lambda: Client().post(link, ONE_CLICK).status_code, answers)
    wait_until_somebody_waits_for_a_lock()
    assert answers == gone == []
    assert not Suppression.objects.exists()
    go_on.set()
    gate.join(20)
    click.join(20)
    assert (gone, answers) == ([[mail.pk]], [200])
    mail.refresh_from_db()
    assert mail.state == "sending"
    assert Suppression.objects.get().created_at > mail.sending_at


@pytest.mark.django_db(transaction=True)
def test_a_suppression_of_the_bare_address_waits_for_the_gate_too(gate_paused):
    """It knows no customer, so only the address's own lock can hold it back."""
    topic = a_topic()
    a_rule(topic)
    mail = signed_up("ada@example.com", topic=topic)
    reading, go_on = gate_paused
    gone, done = [], []
    gate = in_thread(gate_all, gone)
    assert reading.wait(20)
    reason = SuppressionReason.COMPLAINT
    late = in_thread(
        lambda: suppress("ada@example.com", reason=reason, origin="test"), done
    )
    wait_until_somebody_waits_for_a_lock()
    assert done == []
    go_on.set()
    gate.join(20)
    late.join(20)
    assert (gone, done) == ([[mail.pk]], [True])


@pytest.mark.django_db(transaction=True)
def test_a_gate_that_waits_for_a_click_sees_it():
    topic = a_topic()
    a_rule(topic)
    mail = signed_up("ada@example.com", topic=topic)
    ada = Customer.objects.get(email="ada@example.com")
    gone = []
    with atomic():
        # The click's transaction: it has the locks and has not committed.
        unsubscribe(
            ada.pk, address_hash(ada.email), topic.pk, origin="test", wording=""
        )
        gate = in_thread(gate_all, gone)
        wait_until_somebody_waits_for_a_lock()
        assert gone == []
    gate.join(20)
    assert gone == [[]]
    mail.refresh_from_db()
    assert (mail.state, mail.reason) == ("skipped", "suppressed")
