"""Suppressions and choices: written once, read by the gate, never missed by it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.transaction import atomic
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from campaigns.deciding import clock
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import (
    Block,
    lift,
    subscribe,
    suppress,
    suppress_within,
    unsubscribe,
)
from campaigns.deciding.transaction import Decision, decide
from campaigns.domain.states import SuppressionReason
from campaigns.models import (
    Consent,
    Customer,
    RecordedOrder,
    Subscription,
    Suppression,
    Topic,
)
from tests.db.locks import wait_until_somebody_waits_for_a_lock
from tests.db.mail_rows import THEN, a_customer, a_topic, permissions

BOUNCE = SuppressionReason.HARD_BOUNCE
REFUSED = SuppressionReason.UNSUBSCRIBED


def facts(address="ada@example.com", *, customer=0, topic=None, at=THEN):
    return permissions([(customer, address_hash(address), topic)], at)[0][:3]


def reasons(*args, **kwargs):
    return facts(*args, **kwargs)[0]


@pytest.mark.django_db
class TestSuppressing:
    def test_a_suppression_holds_for_every_spelling_of_the_address(self):
        assert suppress(" Ada@EXAMPLE.com ", reason=BOUNCE, origin="test")
        assert reasons("ada@example.com") == {BOUNCE}
        assert reasons("ada+x@example.com") == frozenset()

    def test_a_repeat_changes_nothing_and_says_so(self):
        assert suppress("ada@example.com", reason=BOUNCE, origin="first")
        assert not suppress("ADA@example.com", reason=BOUNCE, origin="second")
        assert Suppression.objects.get().origin == "first"

    def test_one_topic_does_not_stop_another(self):
        news, offers = a_topic(), a_topic()
        suppress("ada@example.com", reason=REFUSED, origin="t", topic=news.pk)
        assert reasons(topic=news.pk) == {REFUSED}
        assert reasons(topic=offers.pk) == frozenset()
        assert reasons(topic=None) == frozenset()

    def test_one_that_ends_ends_and_can_begin_anew(self):
        with clock.use(At(THEN)):
            end = THEN + timedelta(days=1)
            assert suppress("ada@example.com", reason=BOUNCE, origin="t", ends_at=end)
        assert reasons(at=end - timedelta(seconds=1)) == {BOUNCE}
        assert reasons(at=end) == frozenset()
        later = THEN + timedelta(days=9)
        with clock.use(At(later)):
            assert suppress("ada@example.com", reason=BOUNCE, origin="again")
        assert reasons(at=later) == {BOUNCE}
        row = Suppression.objects.get()
        assert (row.ends_at, row.created_at, row.origin) == (None, later, "again")

    def test_an_end_never_shortens_what_has_none(self):
        suppress("ada@example.com", reason=BOUNCE, origin="t")
        soon = THEN + timedelta(hours=1)
        assert not suppress("ada@example.com", reason=BOUNCE, origin="t", ends_at=soon)
        assert Suppression.objects.get().ends_at is None

    def test_lifting_keeps_the_row_with_who_and_why_and_can_be_undone(self):
        suppress("ada@example.com", reason=BOUNCE, origin="t")
        key = Suppression.objects.get().pk
        with pytest.raises(ValueError, match="needs a reason"):
            lift(key, by="eve", why="  ")
        assert lift(key, by="eve", why="she wrote to us")
        assert not lift(key, by="eve", why="twice")
        assert reasons() == frozenset()
        row = Suppression.objects.get()
        assert (row.lifted_by, row.lifted_reason) == ("eve", "she wrote to us")
        assert suppress("ada@example.com", reason=BOUNCE, origin="new")
        assert reasons() == {BOUNCE}
        assert not lift(10**12, by="eve", why="no such row")

    def test_many_are_written_in_one_statement_and_counted_once(self):
        blocks = [
            Block(
                address_hash=address_hash(f"p{i % 3}@example.com"),
                reason=BOUNCE,
                origin="t",
            )
            for i in range(9)
        ]
        assert decide(lambda d: suppress_within(d, blocks)) == 3
        assert decide(lambda d: suppress_within(d, blocks)) == 0
        assert decide(lambda d: suppress_within(d, [])) == 0

    @override_settings(RECORD_ORDER=True)
    def test_what_was_decided_is_recorded_in_its_order(self):
        topic, ada = a_topic(), a_customer()
        suppress("ada@example.com", reason=BOUNCE, origin="t")
        unsubscribe(
            ada.pk, address_hash(ada.email), topic.pk, origin="link", wording=""
        )
        subscribe(ada.pk, topic.pk, origin="form", wording="yes")
        noted = [(r.kind, r.payload) for r in RecordedOrder.objects.all()]
        key = address_hash("ada@example.com").hex()
        refusal = {"hash": key, "reason": "unsubscribed", "topic": topic.pk}
        choice = {"person": ada.pk, "topic": topic.pk}
        assert noted == [
            ("suppress", {"hash": key, "reason": "hard_bounce", "topic": None}),
            ("suppress", refusal),
            ("choose", {**choice, "subscribed": False}),
            ("lift", refusal),
            ("choose", {**choice, "subscribed": True}),
        ]


class At:
    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now


@pytest.mark.django_db
class TestChoosing:
    def test_a_refusal_is_kept_as_choice_proof_and_suppression(self):
        topic, ada = a_topic(), a_customer()
        key = address_hash(ada.email)
        assert unsubscribe(ada.pk, key, topic.pk, origin="link", wording="Stop this")
        assert facts(customer=ada.pk, topic=topic.pk) == ({REFUSED}, False, False)
        proof = Consent.objects.get()
        assert (proof.customer_id, proof.granted, proof.wording) == (
            ada.pk,
            False,
            "Stop this",
        )
        assert Suppression.objects.get().address == "ada@example.com"

    def test_a_repeat_leaves_one_proof(self):
        topic, ada = a_topic(), a_customer()
        key = address_hash(ada.email)
        assert unsubscribe(ada.pk, key, topic.pk, origin="link", wording="")
        assert not unsubscribe(ada.pk, key, topic.pk, origin="link", wording="")
        assert Consent.objects.count() == Suppression.objects.count() == 1

    def test_everything_means_every_topic_and_those_to_come(self):
        topics, ada = [a_topic(), a_topic()], a_customer()
        assert unsubscribe(
            ada.pk, address_hash(ada.email), None, origin="link", wording=""
        )
        assert set(
            Subscription.objects.filter(subscribed=False).values_list(
                "topic", flat=True
            )
        ) == {t.pk for t in topics}
        assert reasons(topic=a_topic().pk) == {REFUSED}

    def test_a_topic_that_is_gone_means_everything(self):
        ada = a_customer()
        assert unsubscribe(
            ada.pk, address_hash(ada.email), 987_654, origin="link", wording=""
        )
        assert Suppression.objects.get().scope == "all"

    def test_who_was_merged_is_found_and_who_was_erased_is_still_suppressed(self):
        topic, old, new = a_topic(), a_customer("old@example.com"), a_customer()
        Customer.objects.filter(pk=old.pk).update(merged_into=new.pk)
        key = address_hash("old@example.com")
        assert unsubscribe(old.pk, key, topic.pk, origin="link", wording="")
        assert Subscription.objects.get().customer_id == new.pk
        # The survivor has another address, so the old one is known by hash alone.
        assert Suppression.objects.get().address == ""
        gone = address_hash("gone@example.com")
        assert unsubscribe(10**15, gone, topic.pk, origin="link", wording="")
        assert reasons("gone@example.com", topic=topic.pk) == {REFUSED}
        assert Subscription.objects.count() == 1

    def test_subscribing_is_a_consent_and_ends_the_refusal_of_that_topic_only(self):
        topic, other, ada = a_topic(opt_in=True), a_topic(), a_customer()
        key = address_hash(ada.email)
        assert facts(customer=ada.pk, topic=topic.pk) == (frozenset(), None, False)
        for one in (topic, other):
            unsubscribe(ada.pk, key, one.pk, origin="link", wording="")
        suppress(ada.email, reason=BOUNCE, origin="webhook")
        assert subscribe(ada.pk, topic.pk, origin="form", wording="Yes, news")
        assert not subscribe(ada.pk, topic.pk, origin="form", wording="Yes, news")
        assert facts(customer=ada.pk, topic=topic.pk) == ({BOUNCE}, True, True)
        assert facts(customer=ada.pk, topic=other.pk) == (
            {BOUNCE, REFUSED},
            False,
            False,
        )

    def test_subscribing_does_not_end_a_refusal_of_everything(self):
        topic, ada = a_topic(), a_customer()
        unsubscribe(ada.pk, address_hash(ada.email), None, origin="link", wording="")
        assert subscribe(ada.pk, topic.pk, origin="form", wording="")
        assert reasons(topic=topic.pk) == {REFUSED}

    def test_who_or_what_does_not_exist_cannot_be_subscribed(self):
        assert not subscribe(10**15, a_topic().pk, origin="form", wording="")
        assert not subscribe(a_customer().pk, 987_654, origin="form", wording="")
        assert Topic.objects.count() == 1

    def test_any_number_of_pairs_takes_one_statement(self):
        topic = a_topic()
        for i in range(0, 50, 2):
            suppress(f"p{i}@example.com", reason=BOUNCE, origin="t")
        pairs = [(i, address_hash(f"p{i}@example.com"), topic.pk) for i in range(50)]
        with CaptureQueriesContext(connection) as django_queries:
            found = permissions(pairs, THEN)
        assert len(django_queries) == 0  # it goes by psycopg's own cursor, once
        assert [bool(f[0]) for f in found] == [i % 2 == 0 for i in range(50)]
        assert permissions([], THEN) == []


@pytest.mark.django_db(transaction=True)
def test_a_suppression_of_an_unknown_address_waits_for_a_gate_that_holds_it():
    """Two connections: the gate has read, the suppression must come after it."""
    key = address_hash("nobody@example.com")
    done = threading.Event()

    def other():
        try:
            suppress("nobody@example.com", reason=BOUNCE, origin="t")
            done.set()
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    with atomic():
        gate = Decision()
        gate.lock_address(key)
        assert reasons("nobody@example.com") == frozenset()
        thread.start()
        wait_until_somebody_waits_for_a_lock()
        # Still unseen, and not committed: this gate's verdict stands.
        assert not done.is_set()
        assert reasons("nobody@example.com") == frozenset()
    thread.join(10)
    assert done.is_set()
    assert reasons("nobody@example.com") == {BOUNCE}


@pytest.mark.django_db(transaction=True)
def test_a_gate_that_comes_second_sees_the_suppression():
    key = address_hash("nobody@example.com")
    seen = []

    def other():
        try:
            with atomic():
                gate = Decision()
                gate.lock_address(key)
                seen.append(reasons("nobody@example.com"))
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    with atomic():
        decision = Decision()
        block = Block(address_hash=key, reason=BOUNCE, origin="t")
        suppress_within(decision, [block])
        thread.start()
        wait_until_somebody_waits_for_a_lock()
        assert seen == []
    thread.join(10)
    assert seen == [{BOUNCE}]
