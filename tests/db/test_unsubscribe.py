"""The unsubscribe link: a POST acts at once, a look never does, nothing is told."""

import re
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError
from django.test import Client

from campaigns.compliance import unsubscribing
from campaigns.deciding.addresses import address_hash
from campaigns.models import (
    Company,
    Consent,
    Customer,
    Message,
    Subscription,
    Suppression,
    Topic,
)
from campaigns.rendering.links import preview_unsubscribe_url, unsubscribe_url
from tests.db.mail_rows import a_customer, a_mail, a_topic

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def topic(db):
    return a_topic()


@pytest.fixture
def ada(db):
    return a_customer()


@pytest.fixture
def link(ada, topic):
    mail = a_mail(ada)
    return path_to(ada, topic.pk, mail=mail.pk)


def path_to(customer, topic, *, mail=1):
    url = unsubscribe_url(mail, customer.pk, topic, address_hash(customer.email))
    return urlsplit(url).path


def page(response):
    return re.sub(r"\s+", " ", response.content.decode())


def nothing_happened():
    return not (
        Suppression.objects.exists()
        or Consent.objects.exists()
        or Subscription.objects.exists()
    )


@pytest.mark.django_db
class TestOneClick:
    @pytest.mark.parametrize("multipart", [True, False])
    def test_a_mailbox_posts_without_cookies_and_it_is_done(
        self, client, link, ada, topic, multipart
    ):
        if multipart:
            response = client.post(link, ONE_CLICK)
        else:
            body = "List-Unsubscribe=One-Click"
            response = client.post(link, body, content_type=FORM)
        assert response.status_code == 200
        assert "Location" not in response
        assert not response.cookies
        row = Suppression.objects.get()
        assert (bytes(row.address_hash), row.reason, row.topic_id, row.origin) == (
            address_hash(ada.email),
            "unsubscribed",
            topic.pk,
            "one_click",
        )
        proof = Consent.objects.get()
        assert (proof.granted, proof.origin, proof.wording) == (
            False,
            "one_click",
            f"Unsubscribe from {topic.name}",
        )
        assert not Subscription.objects.get().subscribed
        assert Message.objects.get().unsubscribed_at is not None

    def test_a_repeat_answers_the_same_and_keeps_one_proof(self, client, link):
        answers = [client.post(link, ONE_CLICK) for _ in range(3)]
        assert {r.status_code for r in answers} == {200}
        assert len({r.content for r in answers}) == 1
        assert Suppression.objects.count() == Consent.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", FORM),
            (b"", "text/plain"),
            (b"\xff\x00&&&===", FORM),
            (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
            (b"nothing", "multipart/form-data"),
            (b"a=1&" * 14_000, FORM),
            (b"x" * 100_000, "multipart/form-data; boundary=x"),
            (b"scope=all", FORM),
        ],
    )
    def test_the_post_is_the_wish_whatever_its_body(
        self, client, link, topic, body, kind
    ):
        assert client.post(link, body, content_type=kind).status_code == 200
        assert Suppression.objects.get().topic_id == topic.pk

    def test_a_body_that_never_ends_is_not_waited_for(self, client, link):
        class Endless:
            def read(self, *size):
                raise AssertionError("the body was read")

            readline = read

            def close(self):
                pass

        answer = client.post(link, **{"wsgi.input": Endless()}, CONTENT_LENGTH="9")
        assert answer.status_code == 200
        assert Suppression.objects.count() == 1

    def test_a_slash_at_the_end_is_no_redirect(self, client, link):
        assert client.post(f"{link}/", ONE_CLICK).status_code == 200
        assert Suppression.objects.count() == 1

    def test_one_list_and_one_person_only(self, client, link, topic):
        other_topic, bob = a_topic(), a_customer("bob@example.com")
        client.post(link, ONE_CLICK)
        assert set(Suppression.objects.values_list("topic", flat=True)) == {topic.pk}
        assert not Subscription.objects.filter(topic=other_topic).exists()
        assert not Subscription.objects.filter(customer=bob.pk).exists()

    def test_a_link_about_everything_ends_everything(self, client, ada, topic):
        client.post(path_to(ada, None), ONE_CLICK)
        assert Suppression.objects.get().scope == "all"
        assert Subscription.objects.get().topic_id == topic.pk

    def test_it_works_after_the_topic_or_the_person_is_gone(self, client, ada, topic):
        link = path_to(ada, topic.pk)
        Topic.objects.all().delete()
        Customer.objects.all().delete()
        assert client.post(link, ONE_CLICK).status_code == 200
        row = Suppression.objects.get()
        assert (row.scope, bytes(row.address_hash)) == ("all", address_hash(ada.email))

    def test_old_links_hold_after_the_keys_are_rotated(
        self, client, link, settings, ada, topic
    ):
        old = settings.UNSUBSCRIBE_KEYS
        settings.UNSUBSCRIBE_KEYS = ("n" * 40, *old)
        assert path_to(ada, topic.pk) != link
        assert client.post(link, ONE_CLICK).status_code == 200
        settings.UNSUBSCRIBE_KEYS = ("n" * 40,)
        assert client.post(link, ONE_CLICK).status_code == 404


@pytest.mark.django_db
class TestLooking:
    @pytest.mark.parametrize("method", ["get", "head", "options", "put", "delete"])
    def test_only_a_post_acts(self, client, link, method):
        for _ in range(3):
            response = getattr(client, method)(link)
        assert nothing_happened()
        assert response.status_code == {"options": 204, "put": 405, "delete": 405}.get(
            method, 200
        )
        assert not response.cookies

    def test_the_page_says_what_for_whom_and_needs_no_script(self, client, link, topic):
        Company.objects.update_or_create(id=1, defaults={"name": "Shop <Ltd>"})
        response = client.get(link)
        text = page(response)
        assert topic.name in text
        assert "Shop &lt;Ltd&gt;" in text
        # Forwarded, the page must not tell whose mail it was.
        assert "a•••@example.com" in text
        assert "ada@example.com" not in text
        assert "<script" not in text
        assert 'method="post"' in text
        assert 'lang="en"' in text
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["Cache-Control"] == "no-store"
        assert "noindex" in response["X-Robots-Tag"]

    def test_who_has_another_address_by_now_is_not_shown_the_new_one(
        self, client, link, ada
    ):
        Customer.objects.filter(pk=ada.pk).update(email="new@example.com")
        assert "new@" not in page(client.get(link))
        client.post(link, ONE_CLICK)
        row = Suppression.objects.get()
        assert (row.address, bytes(row.address_hash)) == ("", address_hash(ada.email))

    def test_the_form_offers_this_topic_or_everything(self, client, link, topic):
        other = a_topic()
        shown = page(client.get(link))
        assert 'formaction="?scope=topic"' in shown
        assert 'formaction="?scope=all"' in shown
        response = client.post(f"{link}?scope=topic")
        assert "Stop everything else too" in page(response)
        assert Suppression.objects.get().topic_id == topic.pk
        assert Consent.objects.get().origin == "unsubscribe_page"
        response = client.post(f"{link}?scope=all")
        assert "no more news and offers" in page(response)
        assert "Stop everything else too" not in page(response)
        refused = Subscription.objects.filter(subscribed=False)
        assert set(refused.values_list("topic", flat=True)) == {topic.pk, other.pk}

    def test_every_bad_link_gets_one_and_the_same_answer(self, client, link):
        token = link.removeprefix("/u/")
        bad = [
            "",
            "x",
            "%00",
            "%F0%9F%98%80",
            "A" * 5000,
            token[:-1],
            token + "A",
            token + "=",
            ("A" if token[0] != "A" else "B") + token[1:],
            token[:-1] + ("A" if token[-1] != "A" else "B"),
            token.swapcase(),
            "preview2",
            "a/b",
            "..%2f..%2fadmin",
            f"{token}/x",
        ]
        for method in (client.get, client.post):
            answers = [method(f"/u/{one}") for one in bad]
            assert {r.status_code for r in answers} == {404}
            assert len({r.content for r in answers}) == 1
        assert nothing_happened()

    def test_a_preview_shows_all_and_does_nothing(self, client):
        path = urlsplit(preview_unsubscribe_url()).path
        assert "preview" in page(client.get(path))
        assert "Nothing is changed" in page(client.post(path, ONE_CLICK))
        assert "Nothing is changed" in page(client.post(f"{path}?scope=all"))
        assert nothing_happened()

    def test_the_link_of_a_test_mail_does_nothing(self, client, ada, topic):
        mail = a_mail(ada, purpose="test")
        response = client.post(path_to(ada, topic.pk, mail=mail.pk), ONE_CLICK)
        assert response.status_code == 200
        assert "Nothing is changed" in page(response)
        assert nothing_happened()
        assert Message.objects.get().unsubscribed_at is None

    def test_whether_it_was_a_test_costs_no_query_of_its_own(
        self, client, link, django_assert_num_queries
    ):
        with django_assert_num_queries(3):  # topic, customer, company
            client.get(link)

    def test_only_our_own_outage_is_503(self, client, link, monkeypatch):
        def away(*args, **kwargs):
            raise OperationalError("gone")

        with monkeypatch.context() as broken:
            broken.setattr(unsubscribing, "unsubscribe", away)
            response = client.post(link, ONE_CLICK)
        assert response.status_code == 503
        assert int(response["Retry-After"]) > 0
        assert "nothing was changed yet" in page(response)
        assert client.post(link, ONE_CLICK).status_code == 200
