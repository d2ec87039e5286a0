"""Webhooks in any order, twice, at once, broken, and during outages."""

import threading
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.deciding import clock, database
from campaigns.deciding.suppressing import lift
from campaigns.feedback import apply as applying
from campaigns.feedback.apply import MAX_ATTEMPTS, apply_again, drain
from campaigns.models import (
    Attempt,
    Customer,
    DeliveryEvent,
    Message,
    RecordedOrder,
    Suppression,
    WebhookBatch,
)
from tests.db.mail_rows import a_customer, a_mail
from tests.db.webhooks import HARD, NOW, At, item, sole, store, suppressed

pytestmark = pytest.mark.usefixtures("time")


def out_of_space(monkeypatch):
    """Have the database take claims, but nothing that needs a new page."""
    real = database.run

    def full(name, /, **params):
        if name == "insert_delivery_events":
            raise OperationalError("could not extend file: No space left on device")
        return real(name, **params)

    monkeypatch.setattr(database, "run", full)
    monkeypatch.setattr(applying.connection, "close", lambda: None)


@pytest.mark.django_db
class TestTroubles:
    def test_a_poison_body_is_tried_five_times_then_kept_with_its_error(
        self, monkeypatch, time
    ):
        mail = a_mail(a_customer())
        store([item(mail, "open")])
        poison = WebhookBatch.objects.get()
        time.time += timedelta(seconds=1)
        store([item(mail, "delivered")])
        WebhookBatch.objects.exclude(pk=poison.pk).update(pending_at=time.time)
        real = applying.read_batch

        def read(body):
            if body == bytes(poison.body):
                raise RuntimeError("boom \x00")
            return real(body)

        monkeypatch.setattr(applying, "read_batch", read)
        assert drain() == 1  # the one behind it is not stopped
        for _ in range(10):
            time.time += timedelta(hours=1)
            drain()
        poison.refresh_from_db()
        assert (poison.attempts, poison.pending_at) == (MAX_ATTEMPTS, None)
        assert poison.error == "RuntimeError: boom \ufffd"
        assert poison.applied_at is None

    def test_a_body_whose_processes_die_goes_on_waiting_but_rarely(self, time):
        store([item(a_mail(a_customer()), "spamreport")])
        for _ in range(MAX_ATTEMPTS):
            assert applying._claim() is not None  # and then the process dies
            time.time += applying.LEASE
        assert applying._claim() is not None
        time.time += applying.LONG_LEASE - timedelta(seconds=1)
        assert drain() == 0
        time.time += timedelta(seconds=1)
        assert drain() == 1
        assert Suppression.objects.exists()

    def test_an_operator_can_have_a_body_applied_again(self):
        mail = a_mail(a_customer())
        store([item(mail, "bounce", **HARD)])
        assert drain() == 1
        lift(Suppression.objects.get().pk, by="eve", why="mailbox is back")
        key = WebhookBatch.objects.get().pk
        WebhookBatch.objects.update(attempts=MAX_ATTEMPTS)
        assert apply_again(key)
        assert drain() == 1
        assert not apply_again(key + 1)
        # Known events change nothing, not even what was lifted since.
        assert Suppression.objects.get().lifted_at is not None
        assert drain() == 0

    def test_an_error_is_kept_whatever_characters_it_holds(self):
        store([])
        applying._put_off(applying._claim(), "boom \ud800")
        assert WebhookBatch.objects.get().error == "boom \ufffd"

    def test_a_failed_body_has_a_button_and_one_that_is_tried_again_has_none(
        self, monkeypatch, time, admin_client
    ):
        store([item(a_mail(a_customer()), "spamreport")])
        key = WebhookBatch.objects.get().pk
        page = f"/admin/campaigns/webhookbatch/{key}/change/"
        button = f"/admin/campaigns/webhookbatch/{key}/again/"
        with monkeypatch.context() as broken:
            broken.setattr(applying, "read_batch", lambda body: 1 / 0)
            drain()
            shown = admin_client.get(page).content.decode()
            assert "ZeroDivisionError" in shown
            assert button not in shown
            for _ in range(MAX_ATTEMPTS):
                time.time += timedelta(hours=1)
                drain()
        assert button in admin_client.get(page).content.decode()
        assert admin_client.get(button).status_code == 405
        done = admin_client.post(button, follow=True).content.decode()
        assert "Queued: it is applied within seconds." in done
        assert button not in done
        assert drain() == 1
        assert Suppression.objects.exists()
        assert LogEntry.objects.get().change_message == "Apply again"
        gone = f"/admin/campaigns/webhookbatch/{key + 1}/again/"
        assert admin_client.post(gone).status_code == 404

    def test_who_may_only_look_has_no_body_applied_again(
        self, client, django_user_model
    ):
        store([{"event": 1}])
        drain()
        assert WebhookBatch.objects.get().error
        viewer = django_user_model.objects.create_user("v", password="x", is_staff=True)
        viewer.user_permissions.add(
            Permission.objects.get(codename="view_webhookbatch")
        )
        client.force_login(viewer)
        address = f"/admin/campaigns/webhookbatch/{WebhookBatch.objects.get().pk}"
        assert "again/" not in client.get(f"{address}/change/").content.decode()
        assert client.post(f"{address}/again/").status_code == 403
        assert drain() == 0

    def test_who_comes_late_with_an_error_does_not_undo_what_another_applied(self):
        store([])
        late = applying._claim()
        WebhookBatch.objects.update(applied_at=NOW, pending_at=None)
        applying._put_off(late, "lost the race")
        batch = WebhookBatch.objects.get()
        assert (batch.pending_at, batch.error) == (None, "")

    def test_a_claimed_body_is_left_alone_until_its_lease_ends(self, time):
        store([])
        assert applying._claim() is not None
        assert applying._claim() is None
        time.time += applying.LEASE
        assert drain() == 1

    def test_an_outage_costs_nothing_but_time(self, monkeypatch, time):
        store([item(a_mail(a_customer()), "delivered")])
        real = database.run

        def away(name, /, **params):
            if name == "insert_delivery_events":
                raise OperationalError("the connection is closed")
            return real(name, **params)

        monkeypatch.setattr(applying.connection, "close", lambda: None)
        with monkeypatch.context() as broken:
            broken.setattr(database, "run", away)
            assert drain() == 0
        time.time += applying.LEASE
        assert drain() == 1
        assert sole().delivered_at is not None

    def test_an_outage_that_outlasts_all_attempts_loses_no_complaint(
        self, monkeypatch, time
    ):
        store([item(a_mail(a_customer()), "spamreport")])
        with monkeypatch.context() as broken:
            out_of_space(broken)
            for _ in range(3 * MAX_ATTEMPTS):
                assert drain() == 0
                time.time += applying.LEASE
        time.time += timedelta(hours=1)
        assert drain() == 1
        assert Suppression.objects.exists()

    def test_one_error_after_an_outage_is_not_the_end_of_a_body(
        self, monkeypatch, time
    ):
        store([item(a_mail(a_customer()), "spamreport")])
        with monkeypatch.context() as broken:
            out_of_space(broken)
            for _ in range(MAX_ATTEMPTS):
                assert drain() == 0
                time.time += applying.LEASE
        time.time += timedelta(hours=1)
        with monkeypatch.context() as broken:
            broken.setattr(applying, "read_batch", lambda body: 1 / 0)
            assert drain() == 0
        time.time += timedelta(hours=1)
        assert drain() == 1
        assert Suppression.objects.exists()

    def test_a_very_large_body_is_applied_in_pieces(self, monkeypatch):
        monkeypatch.setattr(applying, "PIECE", 3)
        mail = a_mail(a_customer())
        store([item(mail, "open", i) for i in range(10)])
        assert drain() == 1
        assert DeliveryEvent.objects.count() == 10
        assert WebhookBatch.objects.get().summary["events"] == 10


EVENTS = ["processed", "delivered", "bounce", "open", "click", "spamreport", "dropped"]
reports = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(EVENTS),
        st.integers(0, 3),
        st.sampled_from(["a", "b", None]),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@pytest.mark.django_db
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=reports, data=st.data())
def test_any_order_any_repeats_and_any_batches_end_the_same(said, data):
    once = ending(said, [range(len(said))])
    order = data.draw(
        st.lists(st.integers(0, len(said) - 1), max_size=10).map(
            lambda more: [*range(len(said)), *more]
        )
    )
    order = data.draw(st.permutations(order))
    cut = data.draw(st.integers(0, len(order)))
    assert ending(said, [order[:cut], order[cut:]]) == once


def ending(said, bodies):
    """The end of three mails after these reports; nothing is kept of the run."""
    for model in (DeliveryEvent, Suppression, WebhookBatch, Message, Attempt, Customer):
        model.objects.all()._raw_delete("default")
    states = ["sent", "unknown", "sending"]
    mails = [
        a_mail(
            a_customer(f"p{i}@example.com", customer_id=10**14 + i),
            state=state,
            id=10**14 + i,
            token=f"7f1c2f6e-0000-4000-8000-00000000000{i}",
            lease_until=NOW if state == "sending" else None,
        )
        for i, state in enumerate(states)
    ]
    items = [
        item(
            mails[who],
            event,
            at,
            sg_event_id=None if copy is None else f"{who}{event}{at}{copy}{machine}",
            sg_machine_open=machine,
            sg_message_id="some.id",
            type="bounce",
            status="5.1.1",
            reason="Invalid",
            url=str(machine),
        )
        for who, event, at, copy, machine in said
    ]
    store(*[[items[i] for i in body] for body in bodies])
    drain()
    return (
        list(
            Message.objects.order_by("id").values(
                "id", "state", "evidence_at", "delivered_at", "bounced_at",
                "opened_at", "clicked_at", "complained_at",
            )
        ),
        set(DeliveryEvent.objects.values_list("content_key", "message_id", "machine")),
        suppressed(),
        list(Attempt.objects.order_by("id").values_list("id", "state")),
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_two_appliers_of_the_same_reports_at_once_agree_without_a_visible_deadlock():
    mails = [a_mail(a_customer(f"p{i}@example.com"), state="unknown") for i in range(6)]
    reported = [item(m, e, **HARD) for m in mails for e in ("bounce", "spamreport")]
    store(*[reported if i % 2 else reported[::-1] for i in range(8)])
    barrier, done, failed = threading.Barrier(4), [], [None] * 4

    def work():
        try:
            with clock.use(At(NOW)):
                barrier.wait(10)
                done.append(drain(20))
            failed.remove(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert sum(done) == 8
    assert set(WebhookBatch.objects.values_list("attempts", "error")) == {(1, "")}
    assert DeliveryEvent.objects.count() == 12
    assert Suppression.objects.count() == 12
    assert set(Message.objects.values_list("state", flat=True)) == {"sent"}


@override_settings(RECORD_ORDER=True)
@pytest.mark.django_db
def test_evidence_has_its_place_in_the_recorded_order():
    a_mail(a_customer(), state="unknown")
    store([item(sole(), "delivered")])
    drain()
    noted = RecordedOrder.objects.get()
    assert (noted.kind, noted.payload) == ("evidence", {"mails": [sole().pk]})
