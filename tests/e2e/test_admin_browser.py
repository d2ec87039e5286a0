"""A marketer builds a rule in a real browser, publishes it, and sees it active."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import override_settings
from playwright.sync_api import expect

from campaigns.journeys.publishing import publish
from campaigns.models import Rule
from tests.db.mail_rows import a_customer, a_mail, a_sender, a_topic
from tests.db.rule_rows import a_rule, a_template
from tests.e2e.chromium import NEEDS_CHROMIUM, a_browser
from tests.e2e.live import clean_server, fresh_start

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(live_server, monkeypatch):
    """A browser logged in as the admin; an error of any script fails the test."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    fresh_start()
    get_user_model().objects.create_superuser("root", "r@example.com", "root")
    errors = []
    static = override_settings(
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
            "staticfiles": {
                "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
            },
        }
    )
    with static, clean_server(monkeypatch), a_browser() as browser:
        shown = browser.new_page()
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto(f"{live_server.url}/admin/")
        shown.fill("#id_username", "root")
        shown.fill("#id_password", "root")
        shown.press("#id_password", "Enter")
        shown.wait_for_url("**/admin/")
        yield shown
        shown.wait_for_load_state("networkidle")
        # Beside Playwright's loop Django opened a connection of its own.
        connections.close_all()
    assert errors == []


def test_a_rule_is_built_published_and_active(page, live_server):
    topic, sender = a_topic(), a_sender()
    template = a_template(name="Welcome mail")
    page.goto(f"{live_server.url}/admin/campaigns/rule/add/")
    page.fill("#id_name", "Welcome tour")
    page.select_option("#id_sender", str(sender.pk))
    page.get_by_text("Add another Step").click()
    page.fill("#id_steps-0-delay_amount", "2")
    page.select_option("#id_steps-0-template", str(template.pk))
    page.get_by_role("button", name="Publish").click()

    expect(page.locator("#problems")).to_contain_text("choose at least one event")
    expect(page.locator("#id_trigger_events_problem")).to_be_visible()
    page.fill("#id_trigger_events", "Signed Up")
    page.select_option("#id_topic", str(topic.pk))
    page.get_by_role("button", name="Publish").click()

    expect(page.get_by_text("Version 1 is published and runs")).to_be_visible()
    expect(page.locator(".et-status .et-badge")).to_have_text("active")
    page.goto(f"{live_server.url}/admin/campaigns/rule/")
    expect(page.get_by_text("When “Signed Up”, wait 2 hours")).to_be_visible()
    expect(page.locator("#result_list .et-badge")).to_have_text("active")
    rule = Rule.objects.get()
    assert rule.current.document["steps"][0]["delay"]["amount"] == 2

    page.goto(f"{live_server.url}/admin/campaigns/rule/{rule.pk}/change/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".et-status .et-badge")).to_have_text("paused")


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_no_page_is_wider_than_the_screen(page, live_server, width):
    rule = a_rule(name="Welcome tour", topic=a_topic(), sender=a_sender())
    publish(rule.pk, by="ann")
    long = "a.very.long.name.of.somebody+with-a-tag@a-long-company-name.example.com"
    person = a_customer(long)
    mail = a_mail(person, context={})
    page.set_viewport_size({"width": width, "height": 800})
    for where in (
        "",
        "campaigns/rule/",
        f"campaigns/rule/{rule.pk}/change/",
        "campaigns/message/",
        f"campaigns/message/{mail.pk}/change/",
        f"campaigns/customer/{person.pk}/change/",
        "auth/group/add/",
    ):
        page.goto(f"{live_server.url}/admin/{where}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where


def test_archiving_is_asked_before(page, live_server):
    rule = a_rule(topic=a_topic(), sender=a_sender())
    publish(rule.pk, by="ann")
    page.goto(f"{live_server.url}/admin/campaigns/rule/{rule.pk}/change/")
    asked = []

    def refuse(dialog):
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".et-status .et-badge")).to_have_text("active")
    assert "for good?" in asked[0]
    assert Rule.objects.get().status == "active"


KEPT = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


def test_the_browser_keeps_nothing_of_anybody(page, live_server):
    person = a_customer("ada@example.com")
    mail = a_mail(person, context={})
    for where in (
        "campaigns/customer/?q=ada@example.com",
        f"campaigns/message/{mail.pk}/change/",
        "campaigns/suppression/add/",
    ):
        page.goto(f"{live_server.url}/admin/{where}")
    page.fill("#id_address", "ada@example.com")
    page.fill("#id_note", "asked by phone")
    page.press("#id_note", "Enter")
    expect(page.get_by_text("is suppressed from now on")).to_be_visible()
    page.goto(f"{live_server.url}/admin/campaigns/customer/{person.pk}/change/")
    expect(page.get_by_text("ada@example.com").first).to_be_visible()
    cookies = {cookie["name"] for cookie in page.context.cookies()}
    assert cookies == {"sessionid", "csrftoken", "et_zone"}
    assert "ada" not in page.evaluate(KEPT)

    page.evaluate("document.querySelector('form[action$=\"/logout/\"]').submit()")
    page.wait_for_load_state("networkidle")
    assert "ada" not in page.evaluate(KEPT)
    page.go_back()
    expect(page.locator("#id_password")).to_be_visible()
    assert "ada@example.com" not in page.content()
