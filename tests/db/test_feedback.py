"""SendGrid's webhooks: who is believed, what is kept, and what it changes."""

import base64
import json
import secrets
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import OperationalError, connection
from django.test import Client, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.deciding import clock, database
from campaigns.deciding.suppressing import lift
from campaigns.feedback import apply as applying
from campaigns.feedback.apply import MAX_ATTEMPTS, apply_again, drain
from campaigns.feedback.due import anything_due
from campaigns.feedback.views import MAX_BODY_BYTES
from campaigns.models import (
    Attempt,
    Customer,
    DeliveryEvent,
    Message,
    RecordedOrder,
    RefusedCount,
    Suppression,
    WebhookBatch,
    WebhookEndpoint,
)
from tests.db.mail_rows import THEN, a_customer, a_mail

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
T0 = int(NOW.timestamp()) - 600


class At:
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


@pytest.fixture(autouse=True)
def no_web_files(settings):
    settings.MIDDLEWARE = [m for m in settings.MIDDLEWARE if "whitenoise" not in m]


@pytest.fixture(autouse=True)
def time():
    at = At(NOW)
    with clock.use(at):
        yield at


def a_key():
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, base64.b64encode(der).decode()


PRIVATE, PUBLIC = a_key()
OTHER_PRIVATE, OTHER_PUBLIC = a_key()


def an_endpoint(*keys, **changes):
    return WebhookEndpoint.objects.create(
        slug=secrets.token_urlsafe(16), public_keys=list(keys or (PUBLIC,)), **changes
    )


def signed(body, *, private=PRIVATE, at=NOW):
    stamp = str(int(at.timestamp()))
    made = private.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_SIGNATURE": base64.b64encode(made).decode(),
        "HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_TIMESTAMP": stamp,
    }


def post(path, body, **headers):
    client = Client(enforce_csrf_checks=True)
    return client.post(path, data=body, content_type="application/json", **headers)


def deliver(endpoint, items, **how):
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    return post(endpoint.path(), body, **signed(body, **how))


def store(*items):
    """Store bodies as the view does; each item list is a body of its own."""
    endpoint = WebhookEndpoint.objects.first() or an_endpoint()
    for body in items:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        WebhookBatch.objects.create(
            endpoint=endpoint, received_at=NOW, pending_at=NOW, body=raw
        )


def item(mail, event, at=0, **changes):
    made = {
        "event": event,
        "email": mail.address,
        "timestamp": T0 + at,
        "sg_event_id": f"{event}-{mail.pk}-{at}",
        "sg_message_id": f"{mail.provider_message_id or 'late'}.recvd-5c9.filter1.0",
        "et_message": str(mail.pk),
        "et_token": str(mail.token),
    } | changes
    return {k: v for k, v in made.items() if v is not None}


def sole():
    return Message.objects.get()


def suppressed():
    return set(Suppression.objects.values_list("address", "reason", "scope"))


@pytest.mark.django_db
class TestTheDoor:
    def test_a_signed_body_is_stored_raw_and_nothing_else_is_done(self):
        mail = a_mail(a_customer())
        body = json.dumps([item(mail, "delivered")]).encode()
        response = post((end := an_endpoint()).path(), body, **signed(body))
        assert (response.status_code, response.json()) == (200, {"stored": True})
        assert not response.cookies
        batch = WebhookBatch.objects.get()
        assert bytes(batch.body) == body
        assert (batch.endpoint, batch.received_at, batch.pending_at) == (end, NOW, NOW)
        assert sole().delivered_at is None

    def test_line_ends_around_and_between_events_are_signed_too(self):
        mail = a_mail(a_customer())
        events = [json.dumps(item(mail, e)) for e in ("delivered", "open")]
        body = f"[{events[0]},\r\n{events[1]}]\r\n".encode()
        assert deliver(an_endpoint(), body).status_code == 200
        path, headers = an_endpoint().path(), signed(body)
        assert post(path, body.strip(), **headers).status_code == 403
        assert post(path, body.replace(b"\r\n", b"\n"), **headers).status_code == 403
        assert drain() == 1
        assert sole().opened_at is not None

    @pytest.mark.parametrize(
        ("reason", "status", "how"),
        [
            ("bad_signature", 403, {"private": OTHER_PRIVATE}),
            ("stale", 403, {"at": NOW - timedelta(hours=27)}),
            ("stale", 403, {"at": NOW - timedelta(days=3 * 365)}),
            ("bad_timestamp", 403, {"at": NOW + timedelta(hours=1)}),
        ],
    )
    def test_what_is_forged_or_replayed_late_is_refused_and_counted(
        self, reason, status, how
    ):
        response = deliver(an_endpoint(), b"[]", **how)
        assert (response.status_code, response.json()["reason"]) == (status, reason)
        assert not WebhookBatch.objects.exists()
        assert RefusedCount.objects.get().reason == f"webhook_{reason}"

    def test_any_changed_byte_is_refused(self):
        body = json.dumps([{"event": "bounce", "email": "a@example.com"}]).encode()
        path, headers = an_endpoint().path(), signed(body)
        other = body.replace(b"a@example.com", b"b@example.com")
        assert post(path, other, **headers).status_code == 403
        headers["HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_TIMESTAMP"] = str(
            int(NOW.timestamp()) - 1
        )
        assert post(path, body, **headers).status_code == 403

    def test_without_a_signature_it_is_401(self):
        response = post(an_endpoint().path(), b"[]")
        assert (response.status_code, response.json()["reason"]) == (
            401,
            "no_signature",
        )
        half = signed(b"[]")
        half.popitem()
        assert post(an_endpoint().path(), b"[]", **half).status_code == 401

    def test_old_and_new_keys_hold_side_by_side_until_the_old_one_goes(self):
        end = an_endpoint(PUBLIC, OTHER_PUBLIC)
        assert deliver(end, b"[]", private=PRIVATE).status_code == 200
        assert deliver(end, b"[]", private=OTHER_PRIVATE).status_code == 200
        end.public_keys = [OTHER_PUBLIC]
        end.save()
        assert deliver(end, b"[]", private=PRIVATE).status_code == 403
        assert deliver(end, b"[]", private=OTHER_PRIVATE).status_code == 200

    @pytest.mark.parametrize("keys", [[], ["nonsense"], ["", "AAAA"]])
    def test_without_a_usable_key_nothing_is_believed(self, keys):
        end = an_endpoint()
        WebhookEndpoint.objects.update(public_keys=keys)
        response = deliver(end, b"[]")
        assert (response.status_code, response.json()["reason"]) == (403, "bad_key")

    def test_an_address_that_is_off_or_odd_answers_like_one_that_never_was(self):
        off = an_endpoint(enabled=False)
        paths = [
            off.path(),
            "/webhooks/sendgrid/unknown",
            "/webhooks/sendgrid/%00",
            "/webhooks/sendgrid/" + "x" * 5000,
            f"/webhooks/sendgrid/{an_endpoint(kind='postmark').slug}",
        ]
        answers = {(r.status_code, r.content) for p in paths if (r := deliver_to(p))}
        assert len(answers) == 1
        assert answers.pop()[0] == 404

    def test_other_methods_and_sizes_are_refused_in_json(self):
        path = an_endpoint().path()
        assert Client().get(path).status_code == 405
        assert Client().get("/webhooks/sendgrid/unknown").status_code == 405
        big = b"x" * (MAX_BODY_BYTES + 1)
        response = post(path, big, **signed(b"[]"))
        assert (response.status_code, response.json()["reason"]) == (
            413,
            "body_too_large",
        )
        for length, status in (("", 411), ("-1", 411), ("1e3", 411), ("9" * 30, 413)):
            response = post(path, b"[]", CONTENT_LENGTH=length, **signed(b"[]"))
            assert response.status_code == status

    def test_without_the_database_the_provider_is_asked_to_come_again(
        self, monkeypatch
    ):
        end = an_endpoint()

        def away(*args, **kwargs):
            raise OperationalError("gone")

        monkeypatch.setattr(WebhookBatch.objects, "create", away)
        response = deliver(end, b"[]")
        assert response.status_code == 503
        assert int(response["Retry-After"]) > 0


def deliver_to(path):
    return post(path, b"[]", **signed(b"[]"))


@pytest.mark.django_db
class TestWhatIsApplied:
    def test_times_of_a_mail_are_the_first_of_their_kind(self):
        mail = a_mail(a_customer())
        store(
            [item(mail, "open", 30), item(mail, "delivered", 5)],
            [item(mail, "click", 40), item(mail, "open", 20)],
        )
        assert anything_due()
        assert drain() == 2
        assert not anything_due()
        seen = sole()
        assert seen.delivered_at == stamp(5)
        assert seen.opened_at == stamp(20)
        assert seen.clicked_at == stamp(40)
        assert seen.evidence_at == NOW
        assert DeliveryEvent.objects.count() == 4
        assert set(DeliveryEvent.objects.values_list("message", flat=True)) == {mail.pk}

    def test_a_body_posted_twice_has_no_second_effect(self):
        mail = a_mail(a_customer())
        end = an_endpoint()
        body = json.dumps([item(mail, "bounce", type="bounce", status="5.1.1")])
        for _ in range(2):
            assert deliver(end, body.encode()).status_code == 200
        assert drain() == 2
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        lift(Suppression.objects.get().pk, by="eve", why="mailbox is back")
        deliver(end, body.encode())
        drain()
        assert Suppression.objects.get().lifted_at is not None
        assert DeliveryEvent.objects.count() == 1
        last = WebhookBatch.objects.first()
        assert (last.summary["events"], last.summary["repeats"]) == (0, 1)

    def test_forty_six_copies_under_new_ids_count_once(self):
        mail = a_mail(a_customer())
        copies = [item(mail, "open", sg_event_id=f"copy-{i}") for i in range(46)]
        store(copies[:20], copies[20:])
        drain()
        assert DeliveryEvent.objects.count() == 1

    def test_one_id_with_changed_content_counts_once(self):
        mail = a_mail(a_customer())
        store([item(mail, "open", sg_event_id="x")])
        store([item(mail, "open", 7, sg_event_id="x")])
        drain()
        assert DeliveryEvent.objects.count() == 1

    def test_opens_by_machines_are_kept_apart(self):
        mail = a_mail(a_customer())
        store([item(mail, "open", sg_machine_open=True)])
        drain()
        assert sole().opened_at is None
        assert DeliveryEvent.objects.get().machine
        store([item(mail, "open", 9, sg_machine_open=False)])
        drain()
        assert sole().opened_at == stamp(9)

    def test_garbage_within_a_signed_body_harms_nothing_beside_it(self):
        mail = a_mail(a_customer())
        odd = "\x00\ud800"
        store(
            [
                None,
                7,
                "x",
                [[]],
                {},
                {"event": 5},
                {"event": "open", "timestamp": "never"},
                {"event": "open", "timestamp": T0},
                item(mail, "delivered", reason=odd, url=odd, category=[odd]),
                item(mail, "open", et_message={"a": 1}, et_token=[], email=None),
                item(mail, "something_new", 3),
                item(mail, "click", url="http://[broken"),
            ]
        )
        assert drain() == 1
        batch = WebhookBatch.objects.get()
        assert batch.applied_at is not None
        assert batch.summary["rejected_count"] == 8
        assert batch.summary["rejected"][0]["reason"]
        assert sole().delivered_at is not None

    @pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 50_000])
    def test_a_signed_body_that_is_no_json_is_done_with_and_says_why(self, body):
        store(body)
        assert drain() == 1
        batch = WebhookBatch.objects.get()
        assert "JSON" in batch.error
        assert batch.pending_at is None

    def test_the_token_in_a_clicked_unsubscribe_link_is_not_kept(self):
        mail = a_mail(a_customer())
        store([item(mail, "click", url="https://shop.example/u/AQIDsecret?x=1")])
        drain()
        assert DeliveryEvent.objects.get().url == "https://shop.example/u/…"


def stamp(seconds):
    return datetime.fromtimestamp(T0 + seconds, tz=UTC)


HARD = {"type": "bounce", "status": "5.1.1", "reason": "550 no such user"}


@pytest.mark.django_db
class TestSuppressions:
    @pytest.mark.parametrize(
        ("event", "fields", "reason"),
        [
            ("bounce", HARD, "hard_bounce"),
            ("bounce", HARD | {"type": "blocked"}, None),
            ("bounce", HARD | {"status": "5.7.26"}, None),
            ("deferred", {"response": "451 try later"}, None),
            ("spamreport", {}, "complaint"),
            ("unsubscribe", {}, "unsubscribed"),
            ("group_unsubscribe", {"asm_group_id": 3}, "unsubscribed"),
            ("dropped", {"reason": "Unsubscribed Address"}, "unsubscribed"),
            ("dropped", {"reason": "Bounced Address"}, "hard_bounce"),
            ("dropped", {"reason": "Spam Reporting Address"}, "complaint"),
            ("dropped", {"reason": "Invalid"}, "invalid"),
            ("dropped", {"reason": "Spam Content"}, None),
            ("dropped", {"reason": "Recipient List over Package Quota"}, None),
            ("delivered", {}, None),
        ],
    )
    def test_each_event_of_our_mail_suppresses_for_its_reason(
        self, event, fields, reason
    ):
        mail = a_mail(a_customer())
        store([item(mail, event, **fields)])
        drain()
        expected = {("ada@example.com", reason, "all")} if reason else set()
        assert suppressed() == expected

    def test_the_test_button_changes_nothing(self):
        a_mail(a_customer("example@test.com"))
        fake = {
            "email": "example@test.com",
            "timestamp": T0,
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "category": ["cat facts"],
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        }
        kinds = ["bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe"]
        store(
            [
                fake
                | {"event": kind, "sg_event_id": f"fake-{kind}", "reason": "Invalid"}
                for kind in kinds
            ]
        )
        drain()
        assert suppressed() == set()
        assert sole().bounced_at is None
        assert set(DeliveryEvent.objects.values_list("message", flat=True)) == {None}

    def test_a_delayed_bounce_is_put_down_to_the_newest_mail_to_its_address(self):
        ada = a_customer()
        a_mail(ada, sending_at=THEN - timedelta(days=2))
        newest = a_mail(ada, sending_at=THEN)
        a_mail(ada, sending_at=NOW + timedelta(days=1))
        lost = {"event": "bounce", "email": "ADA@example.com", "timestamp": T0} | HARD
        store([lost])
        drain()
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        assert DeliveryEvent.objects.get().message_id == newest.pk
        found = Message.objects.get(pk=newest.pk)
        assert found.bounced_at == stamp(0)
        # It proves nothing about which mail was taken.
        assert found.evidence_at is None

    def test_a_lost_event_about_somebody_we_never_mailed_changes_nothing(self):
        lost = {"event": "bounce", "email": "eve@example.com", "timestamp": T0} | HARD
        store([lost])
        drain()
        assert suppressed() == set()

    def test_events_of_another_installation_prove_only_what_the_mailbox_said(self):
        """Two installations on one account: the numbers are the same, not the tokens."""
        mail = a_mail(a_customer())
        theirs = {"et_token": "7f1c2f6e-0000-4000-8000-000000000000"}
        theirs["sg_message_id"] = "theirs.filter"
        store(
            [
                item(mail, "delivered", **theirs),
                item(mail, "unsubscribe", **theirs),
                item(mail, "spamreport", **theirs, email="bob@example.com"),
            ]
        )
        drain()
        assert suppressed() == set()
        assert sole().delivered_at is None
        store([item(mail, "bounce", 5, **HARD, **theirs)])
        drain()
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        assert sole().bounced_at is None

    def test_an_event_about_another_address_than_the_mails_suppresses_neither(self):
        mail = a_mail(a_customer())
        store([item(mail, "bounce", email="eve@example.com", **HARD)])
        drain()
        assert suppressed() == set()

    def test_without_our_arguments_the_providers_id_finds_the_mail(self):
        mail = a_mail(a_customer())
        store([item(mail, "spamreport", et_message=None, et_token=None, email=None)])
        drain()
        assert sole().complained_at is not None
        row = Suppression.objects.get()
        assert (bytes(row.address_hash), row.reason) == (mail.address_hash, "complaint")


@pytest.mark.django_db
class TestEvidence:
    @pytest.mark.parametrize("event", ["processed", "delivered", "bounce", "open"])
    def test_any_report_settles_a_mail_of_unknown_fate(self, event):
        a_mail(a_customer(), state="unknown")
        mail = sole()
        store([item(mail, event)])
        drain()
        assert (sole().state, sole().evidence_at) == ("sent", NOW)
        assert Attempt.objects.get().state == "accepted"

    def test_a_mail_being_handed_over_is_not_moved_only_noted(self):
        mail = a_mail(
            a_customer(), state="sending", lease_until=NOW + timedelta(seconds=20)
        )
        store([item(mail, "processed")])
        drain()
        assert (sole().state, sole().evidence_at) == ("sending", NOW)
        assert Attempt.objects.get().state == "open"

    def test_a_report_of_an_earlier_attempt_is_evidence_too(self):
        mail = a_mail(a_customer(), state="unknown")
        early = Attempt.objects.create(
            id="7f1c2f6e-0000-4000-8000-000000000001",
            message=mail,
            number=0,
            state="ambiguous",
            started_at=THEN,
        )
        store([item(mail, "delivered", et_token=str(early.pk))])
        drain()
        assert sole().state == "sent"
        states = dict(Attempt.objects.values_list("number", "state"))
        assert states == {0: "accepted", 1: "ambiguous"}

    def test_the_number_alone_is_no_evidence(self):
        mail = a_mail(a_customer(), state="unknown")
        store([item(mail, "delivered", et_token=None, email="eve@example.com")])
        drain()
        assert (sole().state, sole().evidence_at) == ("unknown", None)

    def test_who_was_merged_or_erased_since_does_not_stop_it(self):
        old, new = a_customer("old@example.com"), a_customer()
        a_mail(old, state="unknown")
        Customer.objects.filter(pk=old.pk).update(merged_into=new.pk)
        store([item(sole(), "delivered")])
        drain()
        assert sole().state == "sent"
        lost = a_mail(new, state="unknown")
        Customer.objects.all().delete()
        store([item(lost, "delivered")])
        assert drain() == 1
        assert Message.objects.get(pk=lost.pk).delivered_at is not None


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

    def test_a_body_that_kills_its_process_is_given_up_too(self, time):
        store([])
        for _ in range(MAX_ATTEMPTS):
            assert applying._claim() is not None  # and then the process dies
            time.time += applying.LEASE
        assert drain() == 0
        batch = WebhookBatch.objects.get()
        assert batch.pending_at is None
        assert "ended before" in batch.error

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
