"""The admin's screens: they answer, in both themes, to whom they should, without N+1."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns.deciding.suppressing import suppress
from campaigns.domain.states import SuppressionReason
from campaigns.journeys.publishing import publish
from campaigns.models import (
    ClusterBeat,
    Company,
    Customer,
    DeliveryEvent,
    Event,
    IngestState,
    Journey,
    Message,
    Provider,
    RefusedCount,
    RejectedEvent,
    Rule,
    Source,
    SourceKey,
    Suppression,
    TemplateVersion,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.receive.auth import hash_key
from tests.db.admin_pages import MODELS as MODELS_WITH_PAGES
from tests.db.admin_pages import failures
from tests.db.mail_rows import a_customer, a_mail
from tests.db.rule_rows import a_rule, happened

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def a_user(name="ann", *codenames, superuser=False):
    user = get_user_model().objects.create_user(
        name, password="a-long-word", is_staff=True, is_superuser=superuser
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin():
    return logged_in(a_user("root", superuser=True))


def page(model, pk=None, what=None):
    if pk is None:
        return reverse(f"admin:campaigns_{model}_{what or 'changelist'}")
    return reverse(f"admin:campaigns_{model}_{what or 'change'}", args=[pk])


def a_world():
    """One row of everything, with the oddities that pages must bear."""
    rule = a_rule(condition={"field": "event.properties.plan", "op": "exists"})
    publish(rule.pk, by="ann")
    happened("ann", plan="<script>alert(1)</script>")
    happened("bob")
    happened("cyd", "Unknown Event")
    version = publish(rule.pk, by="ann")
    template = TemplateVersion.objects.get()
    context = {"customer": {"first_name": "Ann"}}
    for state in ("sent", "unknown"):
        mail = a_mail(
            a_customer(f"{state}@example.com"),
            state=state,
            version=version,
            template_version_id=template.pk,
            context=context,
            journey_id=1,
            step=0,
            revision=0 if state == "sent" else 1,
        )
        DeliveryEvent.objects.create(
            content_key=uuid4(),
            message=mail,
            type="delivered",
            occurred_at=timezone.now(),
            received_at=timezone.now(),
        )
    suppress("x@example.com", reason=SuppressionReason.MANUAL, origin="ann: asked")
    source = Source.objects.get()
    RejectedEvent.objects.create(
        received_at=timezone.now(), source=source, code="bad", detail="<b>no</b>"
    )
    RefusedCount.objects.create(hour=timezone.now(), reason="unknown_key", count=9)
    endpoint = WebhookEndpoint.objects.create(slug="s" * 20, public_keys=["key"])
    WebhookBatch.objects.create(
        endpoint=endpoint, received_at=timezone.now(), body=b"\xff[{}]"
    )
    ClusterBeat.objects.create(name="mail@here", seen_at=timezone.now())
    a_rule(trigger_events=[])
    return rule


def test_every_page_answers(admin):
    a_world()
    assert failures(admin) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("theme", ["plain", "unfold"])
def test_every_page_answers_in_each_theme(theme, database_url):
    a_user("root", superuser=True)
    a_world()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ADMIN_THEME": theme,
        "SECRET_KEY": "only-for-this-test-" * 4,
        "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "tests/db/admin_pages.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


MODELS = ("rule", "customer", "event", "journey", "message", "suppression", "source")


@pytest.mark.parametrize("model", MODELS)
def test_whoever_lacks_a_permission_sees_nothing_of_it(model):
    a_world()
    client = logged_in(a_user("nobody"))
    assert client.get(page(model)).status_code == 403
    model_class = {
        m.__name__.lower(): m
        for m in (Rule, Customer, Event, Journey, Message, Suppression, Source)
    }[model]
    for row in model_class.objects.all()[:1]:
        assert client.get(page(model, row.pk)).status_code == 403


def test_the_mail_itself_needs_the_permission_too():
    a_world()
    client = logged_in(a_user("nobody", "view_customer"))
    mail = Message.objects.first()
    assert client.get(page("message", mail.pk, "mail")).status_code == 403


def test_a_viewer_may_look_and_change_nothing():
    a_world()
    viewer = logged_in(
        a_user("vic", "view_suppression", "view_source", "view_provider")
    )
    row, source = Suppression.objects.get(), Source.objects.get()
    provider = Provider.objects.get()
    assert viewer.get(page("suppression", row.pk)).status_code == 200
    forbidden = [
        page("suppression", row.pk, "lift"),
        page("source", source.pk, "key"),
        page("provider", provider.pk, "resume"),
    ]
    assert [viewer.post(a).status_code for a in forbidden] == [403, 403, 403]
    assert viewer.get(page("suppression", what="add")).status_code == 403
    assert not SourceKey.objects.exists()


def statements(client, address):
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def more_people(first, last):
    for number in range(first, last):
        happened(f"user{number}", plan="pro")


def test_lists_ask_the_database_as_often_for_50_rows_as_for_5(admin):
    rule = a_rule()
    publish(rule.pk, by="ann")
    more_people(0, 5)
    lists = [page(m) for m in ("event", "customer", "journey", "message", "rule")]
    few = [statements(admin, a) for a in lists]
    more_people(5, 50)
    for number in range(9):
        publish(a_rule(name=f"Rule {number}").pk, by="ann")
    many = [statements(admin, a) for a in lists]
    assert many == few


def test_a_customers_page_asks_as_often_for_50_events_as_for_5(admin):
    rule = a_rule()
    publish(rule.pk, by="ann")
    for _ in range(5):
        person = happened("ann", plan="pro")
    few = statements(admin, page("customer", person.pk))
    for _ in range(45):
        happened("ann", plan="pro")
    assert statements(admin, page("customer", person.pk)) == few


def test_the_timeline_says_why_there_was_no_second_mail(admin):
    rule = a_rule(cooldown_amount=7, name="Welcome tour")
    publish(rule.pk, by="ann")
    happened("ann")
    Journey.objects.update(state="finished", ended_at=timezone.now())
    person = happened("ann")
    shown = admin.get(page("customer", person.pk)).content.decode()
    assert "Welcome tour: started" in shown
    assert "Welcome tour: not started" in shown
    assert "the rule does not repeat so soon" in shown


def test_hostile_names_are_shown_and_not_run(admin):
    happened("ann", "<script>alert(1)</script>", x="</pre><script>alert(2)</script>")
    event = Event.objects.get(type="track")
    shown = admin.get(page("event", event.pk)).content.decode()
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_times_are_in_the_viewers_zone_with_its_name(admin):
    person = a_customer()
    Customer.objects.update(created_at="2026-01-10T12:00:00Z")
    admin.cookies["et_zone"] = "Asia/Tokyo"
    assert (
        "10 Jan 2026, 21:00:00 JST"
        in admin.get(page("customer", person.pk)).content.decode()
    )
    admin.cookies["et_zone"] = "No/Where"
    Company.objects.update_or_create(pk=1, defaults={"time_zone": "Europe/Berlin"})
    assert (
        "10 Jan 2026, 13:00:00 CET"
        in admin.get(page("customer", person.pk)).content.decode()
    )


def test_pages_go_older_and_newer_without_loss_or_repeat(admin):
    for number in range(120):
        a_customer(f"user{number}@example.com")  # all created at the same instant
    address, seen = page("customer"), []
    pages = []
    while True:
        context = admin.get(address).context["cl"]
        seen += [row.pk for row in context.result_list]
        pages.append([row.pk for row in context.result_list])
        if context.older_link is None:
            break
        address = page("customer") + context.older_link
    assert len(seen) == len(set(seen)) == 120
    assert context.total == "120 customers"
    newer = admin.get(page("customer") + context.newer_link).context["cl"]
    assert [row.pk for row in newer.result_list] == pages[-2]


NO_MOMENTS = (
    "x", "2026", "", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
)  # fmt: skip
MOMENT = "2026-01-01T00:00:00+00:00"
MANGLED = [
    *(f"{moment}_1" for moment in NO_MOMENTS), "_", f"{MOMENT}_x", f"{MOMENT}_-1",
    f"{MOMENT}_1_0", f"{MOMENT}_{'9' * 30}", f"{MOMENT}_{'9' * 5_000}", f"{MOMENT}_\u0663",
]  # fmt: skip


@pytest.mark.parametrize("broken", MANGLED, ids=lambda text: text[:40])
def test_a_mangled_page_is_the_first_one(admin, broken):
    a_customer()
    context = admin.get(page("customer"), {"older_than": broken}).context["cl"]
    assert len(context.result_list) == 1


def test_a_page_from_any_offset_is_found(admin):
    a_customer()
    for at, rows in (("2126", 1), ("2025", 0)):
        key = f"{at}-01-01T00:00:00+23:59:59.999999_1"
        context = admin.get(page("customer"), {"older_than": key}).context["cl"]
        assert len(context.result_list) == rows


@pytest.mark.parametrize("broken", NO_MOMENTS)
def test_a_timeline_before_no_moment_is_the_newest(admin, broken):
    happened("ann")
    pk = Customer.objects.get().pk
    event = f'href="{page("event", Event.objects.last().pk)}"'
    shown = admin.get(page("customer", pk), {"before": broken})
    assert event in shown.content.decode()
    past = admin.get(page("customer", pk), {"before": "2025-01-01T00:00:00+23:59:59.9"})
    assert event not in past.content.decode()


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize(
    ("model", "asked"),
    [("rule", {"kind__exact": "a\0"}), ("message", {"state__exact": "\0"}),
     ("suppression", {"scope__exact": "\0"}), ("rejectedevent", {"source__id__exact": "9" * 30}),
     ("customer", {"q": "a\0"}), ("event", {"e\0": "\0"})],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_the_database_cannot_hold_is_not_searched_for(admin, model, asked, how):
    ask = getattr(admin, how)
    where = f"{page(model)}?{urlencode(asked)}"
    assert ask(where).status_code in (200, 302)


ODD_IDS = ("\u00b2", "\u0663", "9" * 30, "9" * 5_000, "a\x00b", "-1", "1.5", "_2F")


@pytest.mark.parametrize("odd", ODD_IDS, ids=lambda text: repr(text[:40]))
@pytest.mark.parametrize("model", MODELS_WITH_PAGES)
def test_an_odd_id_names_no_row(admin, model, odd):
    for what in ("change", "history"):
        where = f"/admin/campaigns/{model}/{quote(odd)}/{what}/"
        assert admin.get(where).status_code in (302, 404)


@pytest.mark.parametrize("term", ["ANN@example.com", "ann", "ann@ex"])
def test_customers_are_found_by_address_its_beginning_or_user_id(admin, term):
    happened("ann")
    happened("bob")
    found = admin.get(page("customer"), {"q": term}).context["cl"].result_list
    assert [c.email for c in found] == ["ann@example.com"]


@pytest.mark.parametrize("model", ["event", "journey", "message"])
def test_rows_of_people_are_found_by_address_also_after_a_merge(admin, model):
    a_world()
    person = Customer.objects.get(user_id="ann")
    other = a_customer("old@example.com")
    Customer.objects.filter(pk=person.pk).update(merged_ids=[other.pk])
    a_mail(other)
    found = admin.get(page(model), {"q": "ann@example.com"}).context["cl"].result_list
    owners = {row.customer_id for row in found}
    assert owners == ({other.pk} if model == "message" else {person.pk})


def test_a_customer_merged_with_many_shows_the_latest_and_counts_the_others(admin):
    person = a_customer()
    Customer.objects.filter(pk=person.pk).update(merged_ids=[*range(1_001, 1_026)])
    said = admin.get(page("customer", person.pk)).content.decode()
    assert "1025, 1024, 1023" in said
    assert "1006 and 5 before" in said
    assert "1005" not in said


def test_a_search_that_takes_too_long_is_stopped_and_said(admin, monkeypatch):
    monkeypatch.setattr("campaigns.admin.base.LIST_TIMEOUT_MS", 1)
    slow = Customer.objects.extra(where=["pg_sleep(0.2) IS NOT NULL"])
    a_customer()
    monkeypatch.setattr(
        "campaigns.admin.customers.CustomerAdmin.get_queryset", lambda *_: slow.all()
    )
    response = admin.get(page("customer"), {"q": "ada@example.com"})
    assert response.status_code == 302
    assert "?" not in response["Location"]


def test_an_address_is_suppressed_and_lifted_with_a_reason(admin):
    add = page("suppression", what="add")
    assert (
        "exactly one @"
        in admin.post(add, {"address": "ann", "note": "x"}).content.decode()
    )
    given = {"address": "Ann@Example.com", "note": "asked by phone", "topic": ""}
    admin.post(add, given)
    row = Suppression.objects.get()
    assert (row.address, row.reason) == ("ann@example.com", "manual")
    assert row.origin == "root: asked by phone"
    lift = page("suppression", row.pk, "lift")
    admin.post(lift, {"why": "  "})
    row.refresh_from_db()
    assert row.lifted_at is None
    admin.post(lift, {"why": "asked again"})
    row.refresh_from_db()
    assert (row.lifted_by, row.lifted_reason) == ("root", "asked again")
    delete = reverse("admin:campaigns_suppression_delete", args=[row.pk])
    assert admin.post(delete, {"post": "yes"}).status_code == 403


def test_the_row_of_a_host_that_is_gone_can_be_deleted_and_no_other(admin):
    now = timezone.now()
    old = now - timedelta(minutes=5)
    gone = ClusterBeat.objects.create(name="mail@gone", sent_at=old, seen_at=old)
    stopped = ClusterBeat.objects.create(name="mail@stopped", sent_at=old)
    # Its supervisor lives, and would make the row anew.
    stuck = ClusterBeat.objects.create(name="mail@stuck", sent_at=now, seen_at=old)
    for row in (gone, stopped):
        delete = page("clusterbeat", row.pk, "delete")
        assert delete in admin.get(page("clusterbeat", row.pk)).content.decode()
        assert row.name in admin.get(delete).content.decode()
        viewer = logged_in(a_user(f"of {row}", "view_clusterbeat"))
        assert delete not in viewer.get(page("clusterbeat", row.pk)).content.decode()
        assert viewer.post(delete, {"post": "yes"}).status_code == 403
        assert admin.post(delete, {"post": "yes"}).status_code == 302
    delete = page("clusterbeat", stuck.pk, "delete")
    assert delete not in admin.get(page("clusterbeat", stuck.pk)).content.decode()
    assert admin.post(delete, {"post": "yes"}).status_code == 403
    assert list(ClusterBeat.objects.all()) == [stuck]
    keeper = logged_in(a_user("keeper", "view_clusterbeat", "delete_clusterbeat"))
    ClusterBeat.objects.update(sent_at=old)
    assert keeper.post(delete, {"post": "yes"}).status_code == 302
    assert not ClusterBeat.objects.exists()


def test_a_key_is_shown_exactly_once(admin):
    values = {"name": "Site", "kind": "segment", "trust": "public", "enabled": "on"}
    response = admin.post(page("source", what="add"), values)
    key = response.context["key"]
    source = Source.objects.get(name="Site")
    stored = source.keys.get()
    assert key in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert bytes(stored.key_hash) == hash_key(key)
    assert key not in admin.get(page("source", source.pk)).content.decode()
    rotated = admin.post(page("source", source.pk, "key")).context["key"]
    assert rotated != key
    revoke = reverse("admin:campaigns_source_revoke", args=[source.pk, stored.pk])
    admin.post(revoke)
    stored.refresh_from_db()
    assert stored.revoked_at is not None
    assert source.keys.filter(revoked_at=None).count() == 1


def test_a_paused_provider_is_resumed(admin):
    later = timezone.now() + timedelta(hours=1)
    provider = Provider.objects.create(
        name="p", paused_until=later, pause_reason="401", failures=9, open_until=later
    )
    assert "paused" in admin.get(page("provider")).content.decode()
    admin.post(page("provider", provider.pk, "resume"))
    provider.refresh_from_db()
    assert (provider.paused_until, provider.open_until, provider.failures) == (
        None,
        None,
        0,
    )


def test_the_company_is_changed_for_every_later_decision(admin):
    Company.objects.get_or_create(pk=1)
    before = IngestState.objects.get().ruleset
    given = {
        "name": "Shop",
        "time_zone": "Mars/Base",
        "cap_messages": "3",
        "cap_days": "7",
    }
    shown = admin.post(page("company", 1), given).content.decode()
    assert "is no time zone" in shown
    admin.post(page("company", 1), given | {"time_zone": "Asia/Tokyo"})
    assert Company.objects.get().time_zone == "Asia/Tokyo"
    assert IngestState.objects.get().ruleset == before + 1


def test_the_first_page_counts_honestly(admin):
    a_world()
    shown = admin.get(reverse("admin:index")).content.decode()
    assert "Needs attention" in shown
    assert "1 unknown" in shown
    plain = logged_in(a_user("nobody")).get(reverse("admin:index")).content.decode()
    assert "Events today" not in plain
