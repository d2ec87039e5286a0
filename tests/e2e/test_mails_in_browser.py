"""The sample mails fit a phone and a desktop, whatever stands in them."""

import pytest

from campaigns.rendering.preview import preview
from demo.samples.events import CUSTOMER, EVENTS
from demo.samples.templates import TEMPLATES
from tests.e2e.chromium import NEEDS_CHROMIUM, a_browser

pytestmark = NEEDS_CHROMIUM

LONG = "Schreibtischlampenschirmhalterungsersatzteil" * 2
HUGE = {
    "name": LONG,
    "plan_name": LONG,
    "total": 1_481_478_000,
    "products": [
        {"name": LONG, "sku": "A" * 60, "price": 123_456.5, "quantity": 12_000}
    ]
    * 9,
}


@pytest.fixture(scope="module")
def browser():
    with a_browser() as running:
        yield running


@pytest.fixture(params=[375, 640])
def page(browser, request):
    opened = browser.new_page(viewport={"width": request.param, "height": 700})
    yield opened
    opened.close()


def shown(sample, extra):
    name, properties = EVENTS[sample.slug]
    made = preview(
        sample.subject,
        sample.preheader,
        sample.html,
        sample.text,
        {"name": name, "properties": {**properties, **extra}},
        CUSTOMER,
    )
    assert made.problems == ()
    return made.html


@pytest.mark.parametrize("sample", TEMPLATES, ids=lambda sample: sample.slug)
@pytest.mark.parametrize("extra", [{}, HUGE], ids=["usual", "huge"])
def test_a_mail_is_never_wider_than_the_screen(page, sample, extra):
    page.set_content(shown(sample, extra))
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.viewport_size["width"]
    button = page.locator("a.et-wide")
    if button.count():
        assert button.bounding_box()["height"] >= 44  # a thumb's width


def test_the_preheader_is_read_by_mailboxes_and_seen_by_nobody(page):
    page.set_content(shown(TEMPLATES[0], {}))
    words = page.get_by_text(TEMPLATES[0].preheader)
    assert words.count() == 1
    assert not words.is_visible()
