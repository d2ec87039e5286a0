"""Attacks on the admin: what strangers wrote, forged forms, staff without permission."""

import json
import logging
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from campaigns.admin.frames import POLICY
from campaigns.domain.events import Trust
from campaigns.ingest import partitions
from campaigns.journeys.publishing import publish
from campaigns.metrics.refused import REFUSED
from campaigns.models import RejectedEvent, Source, SourceKey, TemplateVersion
from campaigns.receive.auth import KEYS, hash_key
from campaigns.receive.limits import LIMITER
from tests.db.admin_pages import pages
from tests.db.mail_rows import a_customer, a_mail
from tests.db.rule_rows import a_rule

pytestmark = pytest.mark.django_db

KEY = "write-key-of-the-shop"
POISON = "\"'><img src=x onerror=alert(1)>{{7|plus:7}}</script><svg onload=alert(2)>"
RAW = (b"<img src=x", b"<svg onload", b"alert(1)>", b"</script><svg")


@pytest.fixture(autouse=True)
def fresh_process():
    """What a process remembers between requests, as after its start."""
    for memory in (KEYS, LIMITER, REFUSED, partitions):
        memory.forget()


def a_client(name, *, superuser=False, csrf=False):
    user = get_user_model().objects.create_user(
        name, password="a-long-word", is_staff=True, is_superuser=superuser
    )
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


def poison_everything():
    """Let a stranger with a public key write into all that takes text."""
    rule = a_rule()
    version = publish(rule.pk, by="ann")
    source = Source.objects.create(name="Web", kind="segment", trust=Trust.PUBLIC)
    SourceKey.objects.create(source=source, key_hash=hash_key(KEY), prefix="write-")
    said = {POISON[:90]: POISON, "nested": {POISON[:90]: [POISON]}}
    event = {
        "anonymousId": f"a{POISON}",
        "traits": {**said, "first_name": POISON, "locale": POISON, "timezone": POISON},
        "properties": said,
        "context": {**said, "timezone": POISON},
    }
    items = [
        {"type": "identify", **event},
        {"type": "track", "event": POISON, "messageId": POISON, **event},
        {"type": "track", "event": rule.trigger_events[0], **event},
        {"type": POISON, "messageId": POISON, POISON: POISON},
        {"type": "track", "event": {POISON: POISON}, "userId": POISON},
        POISON,
    ]
    answer = Client().post(
        "/v1/batch",
        json.dumps({"writeKey": KEY, "batch": items}),
        content_type="text/plain",
    )
    assert answer.json()["rejected_count"] == 3
    assert RejectedEvent.objects.filter(body__contains="<img").count() == 3
    mail = a_mail(
        a_customer("ada@example.com"),
        state="sent",
        version=version,
        template_version_id=TemplateVersion.objects.get().pk,
        context={"customer": {"first_name": POISON}, "event": {"properties": said}},
        journey_id=1,
        step=0,
        revision=0,
    )
    return rule, mail


def test_nothing_that_a_stranger_wrote_is_markup_in_any_page():
    poison_everything()
    client = a_client("root", superuser=True)
    seen = 0
    for address in pages():
        page = client.get(address)
        found = [raw for raw in RAW if raw in page.content]
        assert not found, (address, found)
        seen += b"&lt;img src=x" in page.content
    assert seen >= 5, "the poison should be shown, as text, on many pages"


def test_a_mail_is_framed_where_nothing_runs():
    _, mail = poison_everything()
    client = a_client("root", superuser=True)
    shown = client.get(reverse("admin:campaigns_message_mail", args=[mail.pk]))
    assert shown["Content-Security-Policy"] == POLICY
    assert "sandbox;" in POLICY
    assert "allow-" not in POLICY
    assert not [word for word in POLICY.split() if word.startswith("script")]
    page = client.get(reverse("admin:campaigns_message_change", args=[mail.pk]))
    frames = page.content.decode().split("<iframe")[1:]
    assert all('sandbox=""' in frame.partition(">")[0] for frame in frames)


class Running(HTMLParser):
    """Gathers of a page what a browser would run, or follow: `found`."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._in_script = tag == "script" and "json" not in dict(attrs).get("type", "")
        for name, value in attrs:
            if name.startswith(("on", "x-", "@", ":", "hx-")) or (
                name in ("href", "src", "action", "formaction", "srcdoc", "style")
            ):
                self.found.append(value or "")

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.found.append(data)


def test_what_is_gathered_is_what_runs():
    page = '<a x-data="1" title="2" href="3">4</a><script>5</script><p @click="6">7'
    assert Running(page).found == ["1", "3", "5", "6"]
    assert Running('<script type="application/json">1</script>').found == []


def test_nothing_that_a_stranger_wrote_is_in_script_or_in_what_the_theme_evaluates():
    """The theme takes expressions from attributes: there escaping would not help."""
    poison_everything()
    client = a_client("root", superuser=True)
    seen = 0
    for address in pages():
        running = Running(client.get(address).content.decode()).found
        assert [text for text in running if "alert(" in text] == [], address
        seen += len(running)
    assert seen > 1000


def test_each_look_at_peoples_data_is_logged_by_numbers(caplog):
    _, mail = poison_everything()
    client = a_client("root", superuser=True)
    user, person = get_user_model().objects.get(), mail.customer
    caplog.set_level(logging.INFO, "campaigns.admin")
    for address in (
        "/admin/campaigns/customer/?q=ada@example.com",
        reverse("admin:campaigns_customer_change", args=[person.pk]),
        reverse("admin:campaigns_message_change", args=[mail.pk]),
        reverse("admin:campaigns_message_mail", args=[mail.pk]),
        "/admin/campaigns/rule/",
    ):
        assert client.get(address).status_code == 200
    assert client.get("/admin/campaigns/customer/4711/change/").status_code != 200
    told = [r.getMessage() for r in caplog.records if r.name.startswith("campaigns")]
    assert told == [
        f"user {user.pk} looked at a list of customers",
        f"user {user.pk} looked at customer {person.pk}",
        f"user {user.pk} looked at message {mail.pk}",
        f"user {user.pk} looked at the mail of message {mail.pk}",
    ]


def test_what_an_action_answers_is_kept_in_no_cookie():
    client = a_client("root", superuser=True)
    given = {"address": "ada@example.com", "note": "asked", "topic": ""}
    done = client.post("/admin/campaigns/suppression/add/", given)
    assert done.status_code == 302
    assert set(client.cookies) == {"sessionid"}
    shown = client.get(done["Location"])
    assert "ada@example.com is suppressed from now on." in shown.text


def custom_views():
    """Return the address of each view of ours in the admin, for rows of id 1."""
    found = set()
    for model, site in admin.site._registry.items():
        if model._meta.app_label != "campaigns":
            continue
        for pattern in site.get_urls():
            if not pattern.name or not pattern.name.startswith("campaigns_"):
                continue
            converters = pattern.pattern.converters
            kwargs = {
                name: {"int": 1}.get(type(c).__name__[:3].lower(), "pause")
                for name, c in converters.items()
                if name != "object_id"
            }
            if "object_id" in converters:
                kwargs["object_id"] = "1"
            found.add(reverse(f"admin:{pattern.name}", kwargs=kwargs))
    return sorted(found)


def test_the_list_of_views_holds_our_own():
    assert "/admin/campaigns/rule/1/pause/go/" in custom_views()
    assert "/admin/campaigns/source/1/revoke/1/" in custom_views()


def test_a_form_forged_by_another_site_is_refused():
    client = a_client("root", superuser=True, csrf=True)
    evil = {"origin": "https://evil.example"}
    taken = {a: client.post(a, {"why": "x"}, headers=evil) for a in custom_views()}
    assert {a for a, said in taken.items() if said.status_code not in {403, 405}} == (
        set()
    )


def test_strangers_are_sent_to_the_login():
    client = Client()
    for address in custom_views():
        for answer in (client.get(address), client.post(address)):
            assert answer.status_code == 302, address
            assert answer["Location"].startswith("/admin/login/?next=/admin/")


def test_staff_without_a_permission_see_and_do_nothing():
    client = a_client("temp")
    elsewhere = {"/admin/", "/admin/campaigns/rule/"}  # no such row; steps have no list
    assert client.get("/admin/campaigns/rule/").status_code == 403
    for address in custom_views():
        for answer in (client.get(address), client.post(address, {"why": "x"})):
            if answer.status_code == 302:
                assert answer["Location"] in elsewhere, address
            else:
                assert answer.status_code in {403, 404, 405}, address


@pytest.mark.parametrize("bad", ["//evil.example", "https://evil.example/", "/\\evil"])
def test_the_login_leads_nowhere_else(bad):
    a_client("ann")
    answer = Client().post(
        f"/admin/login/?next={bad}",
        {"username": "ann", "password": "a-long-word", "next": bad},
    )
    assert answer["Location"] in {"/admin/", "/accounts/profile/"}


def test_a_key_is_in_the_database_as_its_hash_alone():
    client = a_client("root", superuser=True)
    source = Source.objects.create(name="Shop", kind="segment")
    page = client.post(reverse("admin:campaigns_source_key", args=[source.pk]))
    assert "no-store" in page["Cache-Control"]
    row = SourceKey.objects.get()
    assert len(bytes(row.key_hash)) == 32
    assert len(row.prefix) == 6
    assert row.prefix in page.content.decode()
    again = client.get(reverse("admin:campaigns_source_change", args=[source.pk]))
    kept = page.context["key"]
    assert kept not in again.content.decode()
