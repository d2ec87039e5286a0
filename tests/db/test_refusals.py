"""What a provider reports as a refusal is the customer's own choice, with its proof."""

from importlib import import_module
from itertools import permutations

import pytest
from django.db import connection

from campaigns.deciding import clock
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import subscribe, unsubscribe
from campaigns.feedback.apply import drain
from campaigns.models import Consent, Customer, Refusal, Subscription
from tests.db.mail_rows import a_customer, a_mail, a_topic, permissions
from tests.db.webhooks import HARD, NOW, At, item, stamp, store, suppressed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def time():
    at = At(NOW)
    with clock.use(at):
        yield at


def choices():
    rows = Subscription.objects.order_by("customer_id", "topic_id", "pk")
    return list(rows.values_list("customer_id", "topic_id", "subscribed"))


def proofs():
    rows = Consent.objects.order_by("customer_id", "topic_id", "pk")
    return list(rows.values_list("customer_id", "topic_id", "granted"))


@pytest.mark.parametrize(
    ("event", "fields", "refuses"),
    [
        ("unsubscribe", {}, True),
        ("group_unsubscribe", {"asm_group_id": 3}, True),
        ("spamreport", {}, True),
        ("dropped", {"reason": "Unsubscribed Address"}, True),
        ("dropped", {"reason": "Spam Reporting Address"}, True),
        ("dropped", {"reason": "Bounced Address"}, False),
        ("bounce", HARD, False),
        ("group_resubscribe", {"asm_group_id": 3}, False),
        ("open", {}, False),
    ],
    ids=[
        "unsubscribe", "group", "spam", "dropped unsubscribed", "dropped spam",
        "dropped bounced", "bounce", "resubscribe", "open",
    ],
)  # fmt: skip
def test_a_refusal_is_written_for_every_topic_and_nothing_else_is(
    event, fields, refuses
):
    ada = a_customer()
    topics = sorted(a_topic().pk for _ in range(2))
    store([item(a_mail(ada), event, **fields)])
    assert drain() == 1
    said = [(ada.pk, topic, False) for topic in topics] if refuses else []
    assert (choices(), proofs()) == (said, said)


def test_the_proof_says_who_reported_what_and_when():
    ada, topic = a_customer(), a_topic()
    store([item(a_mail(ada), "spamreport", 5)])
    drain()
    proof = Consent.objects.get()
    assert (proof.customer_id, proof.topic_id, proof.granted) == (
        ada.pk, topic.pk, False,
    )  # fmt: skip
    assert (proof.origin, proof.said_at) == ("sendgrid: spamreport", NOW)
    assert proof.wording == (
        f"The provider reported “spamreport” of {stamp(5).isoformat()}."
    )


def test_it_ends_a_consent_also_for_an_opt_in_topic(time):
    ada, topic = a_customer(), a_topic(opt_in=True)
    subscribe(ada.pk, topic.pk, origin="form", wording="yes")
    mail = a_mail(ada)
    time.time = stamp(900)
    store([item(mail, "unsubscribe")])
    drain()
    (found,) = permissions(
        [(ada.pk, address_hash("ada@example.com"), topic.pk)], now=time.time
    )
    assert (found.subscribed, found.consented) == (False, False)
    assert proofs() == [(ada.pk, topic.pk, True), (ada.pk, topic.pk, False)]


def test_everybody_with_the_address_refused_and_so_did_who_was_mailed():
    topic = a_topic()
    moved, other = a_customer(), a_customer("ada@example.com")
    stranger = a_customer("eve@example.com")
    mail = a_mail(moved)
    Customer.objects.filter(pk=moved.pk).update(email="new@example.com")
    store([item(mail, "unsubscribe", email="ADA@Example.com")])
    drain()
    refused = sorted([moved.pk, other.pk])
    assert choices() == [(person, topic.pk, False) for person in refused]
    assert stranger.pk not in refused


def test_who_was_merged_since_refuses_as_the_survivor():
    topic = a_topic()
    old, new = a_customer("old@example.com"), a_customer("new@example.com")
    mail = a_mail(old)
    Customer.objects.filter(pk=old.pk).update(merged_into=new.pk)
    Customer.objects.filter(pk=new.pk).update(merged_ids=[old.pk])
    store([item(mail, "unsubscribe")])
    drain()
    assert choices() == [(new.pk, topic.pk, False)]


def test_who_was_erased_leaves_only_the_suppression():
    a_topic()
    mail = a_mail(a_customer())
    Customer.objects.all().delete()
    store([item(mail, "unsubscribe")])
    assert drain() == 1
    assert choices() == []
    assert suppressed() == {("ada@example.com", "unsubscribed", "all")}


def test_what_proves_nothing_of_ours_refuses_nothing():
    a_topic()
    mail = a_mail(a_customer())
    theirs = {"et_token": "7f1c2f6e-0000-4000-8000-000000000000"}
    theirs["sg_message_id"] = "theirs.filter"
    store([item(mail, "unsubscribe", **theirs)])
    store([item(mail, "unsubscribe", email="eve@example.com")])
    drain()
    assert choices() == []


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_repeats_in_any_order_end_the_same(order):
    ada, topic = a_customer(), a_topic()
    mail = a_mail(ada)
    bodies = [
        [item(mail, "unsubscribe", 1)],
        [item(mail, "spamreport", 2), item(mail, "delivered", 0)],
        [item(mail, "group_unsubscribe", 3, asm_group_id=1)],
    ]
    store(*(bodies[n] for n in order), *bodies)
    assert drain() == 6
    assert choices() == [(ada.pk, topic.pk, False)]
    assert proofs() == [(ada.pk, topic.pk, False)]
    assert suppressed() == {
        ("ada@example.com", "unsubscribed", "all"),
        ("ada@example.com", "complaint", "all"),
    }


def test_a_repeat_does_not_undo_a_later_consent():
    ada, topic = a_customer(), a_topic()
    body = [item(a_mail(ada), "unsubscribe")]
    store(body)
    drain()
    subscribe(ada.pk, topic.pk, origin="form", wording="yes")
    store(body)
    assert drain() == 1
    assert choices() == [(ada.pk, topic.pk, True)]


def test_what_the_page_kept_already_is_not_kept_twice():
    ada, topic = a_customer(), a_topic()
    mail = a_mail(ada)
    unsubscribe(
        ada.pk, mail.address_hash, topic.pk, origin="one-click", wording="unsubscribe"
    )
    store([item(mail, "unsubscribe")])
    drain()
    assert proofs() == [(ada.pk, topic.pk, False)]
    assert Consent.objects.get().origin == "one-click"


def test_refusals_of_the_release_before_are_found_by_their_proofs():
    """Not by who has the address today: they changed it, or share it with others."""
    topic = a_topic()
    ann, _ = a_customer("ann@example.com"), a_customer("ann@example.com")
    ended = a_customer("bob@example.com")
    unsubscribe(
        ended.pk, address_hash("bob@example.com"), topic.pk, origin="page", wording=""
    )
    for one in (ann, ended):
        mail = a_mail(one)
        unsubscribe(
            one.pk, address_hash(one.email), None,
            origin="page", wording="", message=mail.pk,
        )  # fmt: skip
    kept = set(Refusal.objects.values_list("customer_id", "refused_at"))
    Refusal.objects.all().delete()
    Customer.objects.filter(pk=ann.pk).update(email="new@example.com")
    known = import_module("campaigns.migrations.0011_refusals").KNOWN
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(known)
    assert set(Refusal.objects.values_list("customer_id", "refused_at")) == kept
    assert {pk for pk, _ in kept} == {ann.pk, ended.pk}
