"""Whose webhooks are believed and stored, and what the others are told."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client

from campaigns.feedback.apply import drain
from campaigns.feedback.views import MAX_BODY_BYTES
from campaigns.metrics.refused import REFUSED
from campaigns.models import (
    RefusedCount,
    WebhookBatch,
    WebhookEndpoint,
)
from tests.db.mail_rows import a_customer, a_mail
from tests.db.webhooks import (
    NOW,
    OTHER_PRIVATE,
    OTHER_PUBLIC,
    PRIVATE,
    PUBLIC,
    an_endpoint,
    deliver,
    item,
    post,
    signed,
    sole,
)

pytestmark = pytest.mark.usefixtures("time")


@pytest.fixture(autouse=True)
def as_new():
    REFUSED.forget()
    yield
    REFUSED.forget()


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

    def test_a_flood_of_forged_ones_costs_no_write_each(
        self, django_assert_num_queries
    ):
        end = an_endpoint()
        deliver(end, b"[]", private=OTHER_PRIVATE)
        with django_assert_num_queries(9):  # to find the endpoint
            for _ in range(9):
                deliver(end, b"[]", private=OTHER_PRIVATE)
        assert RefusedCount.objects.get().count == 1
        REFUSED._flushed_at = None  # as after some seconds
        assert deliver(end, b"[]").status_code == 200
        assert RefusedCount.objects.get().count == 10

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
