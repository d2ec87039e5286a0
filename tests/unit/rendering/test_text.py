"""The text that is made once for mails of one shape is what each html would give."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.domain.liquid import (
    Escaping,
    compile_template,
    context_of,
    render_liquid,
    render_marked,
)
from campaigns.rendering import text as texts
from campaigns.rendering.text import text_of, text_of_marked
from demo.samples.templates import TEMPLATES
from tests.unit.rendering.test_samples import FULL

MOMENT = datetime(2026, 3, 2, 9, tzinfo=UTC)

WORDS = st.text("abcxyzÄß", min_size=1, max_size=8)
CALM = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
WILD = st.text(max_size=30)
LINKS = WORDS.map("https://shop.example/{}?a=1&b=2".format)
VALUES = st.one_of(CALM, LINKS, st.integers(-9, 10_000), st.none())
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "name": CALM,
        "price": st.integers(0, 9_999),
        "quantity": st.integers(1, 9),
        "variant": CALM,
        "image_url": LINKS,
    },
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("name", "brand", "plan_name", "order_id"), VALUES)
    | {"url": LINKS, "image_url": LINKS, "products": st.lists(ITEMS, max_size=4)},
)
each_sample = pytest.mark.parametrize("sample", TEMPLATES, ids=lambda s: s.slug)


def context(properties, **customer):
    return context_of(
        customer=customer,
        event_name="Sample",
        properties=properties,
        context={},
        occurred_at=MOMENT,
        extra={
            "sender": {"name": "Acorn", "address": "1 Oak Street"},
            "company": "Acorn Supply Ltd",
            "unsubscribe_url": "https://shop.example/u/1",
        },
    )


def marked(html, properties, **customer):
    return render_marked(compile_template(html), context(properties, **customer))


@each_sample
@settings(deadline=None, max_examples=60)
@given(properties=PROPERTIES, name=CALM)
def test_a_sample_reads_the_same_as_its_own_html(sample, properties, name):
    facts = context(properties, first_name=name)
    compiled = compile_template(sample.html, Escaping.HTML)
    made = render_marked(compiled, facts)
    assert made.text == render_liquid(compiled, facts)
    assert text_of_marked(made) == text_of(made.text)


@each_sample
@settings(deadline=None, max_examples=60)
@given(name=WILD, plan=WILD)
def test_marking_changes_no_html_whatever_the_values(sample, name, plan):
    facts = context({**FULL, "plan_name": plan, "name": plan}, first_name=name)
    compiled = compile_template(sample.html, Escaping.HTML)
    made = render_marked(compiled, facts)
    assert made.text == render_liquid(compiled, facts)
    assert (
        not re.search("[\ue000\ue001]", text_of_marked(made)) or "\ue000" in name + plan
    )


PLACES = {
    "in words": "<p>Hello {{ trigger.a }}, welcome</p>",
    "at a line's start": "<p>{{ trigger.a }} is yours</p>",
    "in a link": '<a href="https://x.example/{{ trigger.a }}">Go, {{ trigger.b }}</a>',
    "a whole link": '<a href="{{ trigger.a }}">{{ trigger.a }}</a>',
    "a link without words": '<a href="{{ trigger.a }}">{{ trigger.none }}</a>',
    "in a style": '<p style="color:{{ trigger.a }}">Text</p>',
    "in the style element": "<style>p{color:{{ trigger.a }}}</style><p>Text</p>",
    "a tag's name": "<{{ trigger.tag }}>Text</{{ trigger.tag }}>after",
    "an attribute": "<ol {{ trigger.start }}><li>Text</li></ol>",
    "a number that counts": '<ol start="{{ trigger.n }}"><li>Text</li></ol>',
    "a text that counts": '<ol start="{{ trigger.text }}"><li>Text</li></ol>',
    "numbers": "<p>{{ trigger.n }}. {{ trigger.n }} things</p><p>{{ trigger.n }} left</p>",
    "a comment": "<!-- {{ trigger.a }} --><p>Text</p>",
    "an entity": "<p>&{{ trigger.entity }};</p>",
    "a captured text": "{% capture x %}<b>{{ trigger.a }}</b>{% endcapture %}<p>{{ x }}</p>",
    "lines": "<p>{{ trigger.lines | newline_to_br }}</p>",
    "a title": '<a href="https://x.example" title="{{ trigger.a }}">Go</a>',
}


@pytest.mark.parametrize("html", PLACES.values(), ids=PLACES.keys())
@settings(deadline=None, max_examples=60)
@given(a=WORDS, b=CALM, n=st.integers(-9, 10**9) | st.floats(-9, 1e9))
def test_a_value_reads_the_same_wherever_it_stands(html, a, b, n):
    more = {"none": "", "tag": "h2", "start": "start=3", "entity": "copy"}
    more |= {"n": n, "text": "3"}
    made = marked(html, {"a": a, "b": b, "lines": f"{a}\n{b}", **more})
    assert text_of_marked(made) == text_of(made.text)


def test_an_address_with_blanks_is_read_as_a_link_all_the_same():
    made = marked('<a href="{{ trigger.a }}">Go</a>', {"a": "/x y"})
    assert text_of_marked(made) == "Go: /x y"
    assert text_of(made.text) == "[Go](/x y)"


def test_what_a_value_holds_is_text_and_no_markup():
    made = marked("<p>{{ trigger.a }}</p>", {"a": "# <b>1</b> [x](y) \\. *z*"})
    assert made.text == "<p># &lt;b&gt;1&lt;/b&gt; [x](y) \\. *z*</p>"
    assert text_of_marked(made) == "# <b>1</b> [x](y) \\. *z*"


def test_blanks_around_a_value_stay_around_it():
    made = marked("<p>a{{ trigger.a }}b{{ trigger.b }}c</p>", {"a": "  x ", "b": " "})
    assert text_of_marked(made) == "a x b c"


def test_what_looks_like_a_mark_is_not_taken_for_one():
    made = marked("<p>\ue0000\ue001 {{ trigger.a }}</p>", {"a": "x"})
    assert text_of_marked(made) == "\ue0000\ue001 x"
    value = marked(
        "<p>{{ trigger.a }} {{ trigger.b }}</p>", {"a": "\ue0001\ue001", "b": "x"}
    )
    assert text_of_marked(value) == "\ue0001\ue001 x"


def test_mails_of_one_shape_are_read_once():
    texts._text_of_frame.cache_clear()
    for number in range(20):
        html = "<p>Hello {{ trigger.a }}, {{ trigger.n }} left</p>"
        made = marked(html, {"a": f"n{number}", "n": number})
        assert text_of_marked(made) == f"Hello n{number}, {number} left"
    assert texts._text_of_frame.cache_info().misses == 1
