"""The simulator's inbox, used as a person does, on a desktop and on a phone."""

import json

import pytest
from playwright.sync_api import expect

from demo.sendgrid_simulator import Simulator
from tests.e2e.chromium import NEEDS_CHROMIUM, a_browser
from tests.e2e.simulated import Hook, payload, quiet_mail, send

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def simulator():
    running = Simulator().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser():
    with a_browser() as running:
        yield running


@pytest.fixture(params=[(1280, 800), (390, 640)], ids=["desktop", "phone"])
def page(browser, request):
    """A page of which no script fails and nothing is logged as an error."""
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    yield opened
    opened.close()
    assert errors == []


def fits(page):
    wide = page.evaluate("document.documentElement.scrollWidth")
    return wide <= page.viewport_size["width"]


def test_an_empty_inbox_says_what_will_come(page, simulator):
    page.goto(simulator.url)
    expect(page.get_by_text("Mails that the product hands over")).to_have_count(1)
    assert fits(page)


def test_the_newest_mail_comes_first_and_is_found_by_its_reader(page, simulator):
    send(simulator, subject="First")
    other = payload(subject="Second")
    other["personalizations"][0]["to"] = [{"email": "bob@example.com"}]
    send(simulator, **other)
    page.goto(simulator.url)
    expect(page.locator("#count")).to_have_text("2 mails")
    expect(page.locator(".row .subject")).to_have_text(["Second", "First"])
    assert fits(page)
    page.get_by_role("searchbox", name="Search").fill("bob@")
    page.keyboard.press("Enter")
    expect(page.locator(".row .subject")).to_have_text(["Second"])
    page.get_by_role("searchbox", name="Search").fill("nobody@")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches “nobody@”")).to_be_visible()
    expect(page.get_by_text("Waiting for the first mail")).to_have_count(0)


def test_every_view_of_a_mail_can_be_opened(page, simulator):
    mail = send(simulator).headers["X-Message-Id"]
    page.goto(simulator.url)
    page.locator(".row").click()
    expect(page.get_by_role("heading", name="Hello <script>")).to_be_visible()
    inside = page.frame_locator("iframe[title='The mail']")
    expect(inside.get_by_text("Hi")).to_be_visible()
    tabs = page.get_by_role("navigation", name="Views")
    for name, says in (
        ("Text", "Hello"),
        ("Headers", "et_message"),
        ("Source", '"personalizations"'),
    ):
        tabs.get_by_role("link", name=name).click()
        expect(page.get_by_label("Mail", exact=True)).to_contain_text(says)
        expect(tabs.get_by_role("link", name=name)).to_have_attribute(
            "aria-current", "page"
        )
        assert fits(page)
    source = json.loads(page.locator("pre").inner_text())
    assert source["subject"] == "Hello <script>"
    assert mail in page.url


def test_opening_a_mail_posts_an_open_and_clicking_its_link_a_click(page, simulator):
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        target = f"{simulator.url}/list"
        html = f'<p>Hi</p><a href="{target}">To the shop</a>'
        simulator.faults({"kind": "webhook_off", "times": 1})
        send(simulator, content=[{"type": "text/html", "value": html}])
        page.goto(simulator.url)
        expect(page.locator(".row.unread")).to_have_count(1)
        page.locator(".row").click()
        (opened,) = hook.events(1)
        assert str(opened.type) == "opened"
        link = page.frame_locator("iframe").get_by_role("link", name="To the shop")
        with page.expect_popup() as popup:
            link.click()
        (clicked,) = hook.events(1)
        assert (str(clicked.type), clicked.url) == ("clicked", target)
        popup.value.wait_for_url(target)
        popup.value.close()
        page.goto(simulator.url)
        expect(page.locator(".row.unread")).to_have_count(0)
        expect(page.locator(".row .badge.click")).to_be_visible()


def test_a_bounce_by_its_button_is_posted_and_shown(page, simulator):
    with Hook() as hook:
        mail = quiet_mail(simulator)
        simulator.webhooks.url = hook.url
        page.goto(f"{simulator.url}/mail/{mail}")
        page.get_by_role("button", name="Bounce").click()
        expect(page.get_by_role("status")).to_have_text("Posted the event bounce.")
        assert [str(e.type) for e in hook.events(2)] == ["opened", "bounced"]
        assert fits(page)


def test_the_list_grows_by_itself(page, simulator):
    page.goto(simulator.url)
    send(simulator)
    expect(page.locator(".row")).to_have_count(1, timeout=10_000)
