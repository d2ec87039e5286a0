from datetime import UTC, datetime

import pytest

from campaigns.domain.liquid import (
    Escaping,
    Problem,
    TemplateInvalid,
    compile_template,
    context_of,
    plain,
    problems,
    render_liquid,
)

FACTS = {
    "customer": {"first_name": "Ana", "nick": None, "rude": "<script>x</script>"},
    "trigger": {"products": [{"name": "Tea", "price": 3.5}, {"name": "Pot"}], "n": 5},
}


def render(source, escaping=Escaping.HTML, facts=FACTS):
    return render_liquid(compile_template(source, escaping), facts)


def refused(source, **kwargs):
    with pytest.raises(TemplateInvalid) as caught:
        render(source, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{ customer.first_name | upcase }}", "Hi ANA"),
        ('{{ customer.last | default: "there" }}', "there"),
        ('{{ customer.nick | default: "there" }}', "there"),
        ("{% if customer.last %}a{% else %}b{% endif %}", "b"),
        ("{% unless customer.nick %}b{% endunless %}", "b"),
        ("{% if customer.last == nil %}b{% endif %}", "b"),
        ("{% if customer.last > 5 %}a{% endif %}b", "b"),
        ('{% if customer.last contains "x" %}a{% endif %}b', "b"),
        ("{% for p in trigger.products %}{{ p.name }} {% endfor %}", "Tea Pot "),
        ("{% for i in (1..3) %}{{ i }}{% endfor %}", "123"),
        ("{% for i in (3..1) %}{{ i }}{% endfor %}", ""),
        ("{{ trigger.products[0].price | times: 2 | money: 'EUR' }}", "€7.00"),
        ("{{ 1234.5 | money }}", "1,234.50"),
        ("{{ -1234.5 | money: 'usd' }}", "-$1,234.50"),
        ("{{ 1234.5 | money: 'JPY' }}", "¥1,235"),
        ("{{ 3 | money: 'SEK' }}", "3.00 SEK"),
        (
            "{{ '2026-01-31T18:05:00Z' | date: '%-d %B %Y %H:%M' }}",
            "31 January 2026 18:05",
        ),
        ("{{ 0 | date: '%Y' }}", "1970"),
        ("{% assign n = customer.last %}{{ n | default: 'd' }}", "d"),
        ("{{ trigger.products.size }}", "2"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{% comment %}{{ x }}{% endcomment %}", ""),
        ("{{ '<b>a</b> c' | strip_html }}", "a c"),
    ],
)
def test_it_renders(source, text):
    assert render(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "\n{{ customer.last }}",
        "\n{{ customer.last | upcase }}",
        "\n{{ customer.last | plus: 1 }}",
        "\n{{ 1 | plus: customer.last }}",
        "\n{{ 'x' | default: customer.last }}",
        "\n{% for x in customer.last %}{% endfor %}",
        "\n{% for x in (1..customer.last) %}{% endfor %}",
        "\n{% echo customer.last %}",
        "\n{% assign n = customer.last %}{{ n }}",
        "\n{{ customer.last | size }}",
    ],
)
def test_a_missing_value_that_is_needed_names_itself_and_its_line(source):
    error = refused(source)
    assert error.variable == "customer.last"
    assert error.line == 2
    assert '{{ customer.last | default: "…" }}' in str(error)


def test_null_is_as_missing_as_absent():
    assert refused("{{ customer.nick }}").variable == "customer.nick"


def test_html_escapes_values_and_text_does_not():
    assert render("<p>{{ customer.rude }}</p>") == (
        "<p>&lt;script&gt;x&lt;/script&gt;</p>"
    )
    assert render("{{ customer.rude }}", Escaping.TEXT) == "<script>x</script>"


@pytest.mark.parametrize(
    "source",
    [
        "{{ '<i>' | append: customer.rude }}",
        "{{ customer.rude | prepend: '<i>' }}",
        "{{ '<i>x' | replace: 'x', customer.rude }}",
        "{% capture c %}{{ customer.rude }}{% endcapture %}{{ c }}",
        "{% assign c = customer.rude | split: '' | join: '' %}{{ c }}",
        "{{ customer.rude | escape_once }}",
        "{{ customer.rude | newline_to_br }}",
        "{{ customer.rude | base64_encode | base64_decode }}",
        "{{ customer.rude | url_encode | url_decode }}",
        "{{ customer.rude | truncate: 12, '' }}",
    ],
)
def test_no_filter_lets_a_value_become_markup(source):
    assert "<script" not in render(source)


@pytest.mark.parametrize("source", ["{{ customer.rude | safe }}", "{{ 1 | nosuch }}"])
def test_an_unknown_filter_is_found_before_rendering(source):
    with pytest.raises(TemplateInvalid, match="There is no filter"):
        compile_template(source)


@pytest.mark.parametrize("tag", ["include", "render", "extends", "block", "import"])
def test_no_tag_reaches_files(tag):
    with pytest.raises(TemplateInvalid, match="Line 1"):
        compile_template("{% " + tag + " '/etc/passwd' %}")


@pytest.mark.parametrize("source", ["{{ now }}", "{{ today }}", "{{ 'now' | date }}"])
def test_no_template_reads_the_clock(source):
    refused(source)


def test_now_is_what_the_context_says():
    facts = {"now": "2030-05-06T07:08:09+00:00"}
    assert render("{{ 'now' | date: '%Y' }}", facts=facts) == "2030"


@pytest.mark.parametrize("path", ["__class__", "items", "__len__", "keys", "get"])
def test_no_attribute_of_an_object_is_reached(path):
    assert render("{{ customer." + path + " | default: 'none' }}") == "none"


@pytest.mark.parametrize("value", ["customer", "trigger.products", "trigger"])
def test_a_group_of_values_is_not_printed(value):
    assert "group of values" in refused("{{ " + value + " }}").reason


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\n{% if x %}", 0),
        ("a\n{{ x", 2),
        ("a\n{{ 'x }}", 2),
        ("a\n{% nosuch %}", 2),
        ("a\n{% endif %}", 2),
        ("a\n{{ x | }}", 2),
        ("a\n{% for x y %}{% endfor %}", 2),
    ],
)
def test_a_fault_in_the_source_says_its_line(source, line):
    with pytest.raises(TemplateInvalid) as caught:
        compile_template(source)
    assert caught.value.line == line


def test_plain_copies_and_mends():
    assert plain({"a": (1, 2.5, None, True), 3: "x\0\ud800y"}) == {
        "a": [1, 2.5, None, True],
        "3": "x\ufffd\ufffdy",
    }


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"a": {"b": datetime(2026, 1, 1, tzinfo=UTC)}},
        {"a": {1, 2}},
        {"a": b"x"},
        float("nan"),
        float("inf"),
        10**4_000,
        ["x" * 500_001] * 2,
        [0] * 20_001,
    ],
)
def test_plain_refuses_what_is_no_data_or_too_large(value):
    with pytest.raises(TemplateInvalid):
        plain(value)


def test_plain_refuses_depth_and_cycles():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TemplateInvalid, match="too deep"):
        plain(loop)


def test_plain_names_the_path():
    with pytest.raises(TemplateInvalid, match=r"“customer.pets\[1\]” is a object"):
        plain({"customer": {"pets": [1, object()]}})


def test_the_context_has_properties_at_both_levels():
    made = context_of(
        customer={"email": "a@example.com"},
        event_name="Product Viewed",
        properties={"plan_name": "Pro", "occurred_at": "liar"},
        context={"ip": "x"},
        occurred_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
        extra={"company": "Hearth"},
    )
    assert made["event"] == made["trigger"]
    text = (
        "{{ trigger.plan_name }}|{{ event.properties.plan_name }}|{{ trigger.name }}|"
        "{{ trigger.occurred_at }}|{{ trigger.context.ip }}|{{ customer.email }}|"
        "{{ company }}"
    )
    assert render(text, facts=made) == (
        "Pro|Pro|Product Viewed|2026-03-04T05:06:00+00:00|x|a@example.com|Hearth"
    )


def test_a_property_called_name_wins_over_the_events_name():
    made = context_of(
        customer={},
        event_name="Product Viewed",
        properties={"name": "Kettle"},
        context={},
        occurred_at=datetime(2026, 3, 4, tzinfo=UTC),
    )
    assert render("{{ trigger.name }}/{{ event.event_name }}", facts=made) == (
        "Kettle/Product Viewed"
    )


def test_problems_finds_unknown_roots_with_line_and_advice():
    assert problems("a\n{{ custmer.name }}") == [
        Problem(
            2,
            "“custmer.name” is not known: names begin with customer, trigger, sender, "
            "company or unsubscribe_url. Did you mean “customer”?",
        )
    ]


def test_problems_knows_locals_loops_and_all_roots():
    source = (
        "{% assign a = customer.x %}{{ a }}{% for p in trigger.items %}{{ p.b }}"
        "{{ forloop.index }}{% endfor %}{{ event.y }}{{ sender.name }}{{ company }}"
        "{{ unsubscribe_url }}{{ journey.woken_by }}"
        "{% capture c %}{% endcapture %}{{ c }}"
    )
    assert problems(source) == []


def test_problems_warns_of_paths_that_were_never_seen():
    known = {
        "customer.first_name": 1,
        "event.properties.plan": 1,
        "trigger.products[].name": 1,
    }
    source = (
        "{{ customer.frist_name }}\n{{ trigger.plan }}{{ event.properties.plan }}"
        "{{ trigger.products[0].name }}{{ trigger.occurred_at }}{{ customer }}"
    )
    found = problems(source, known=known)
    assert [(p.line, p.severity) for p in found] == [(1, "warning")]
    assert "Did you mean “customer.first_name”?" in found[0].message


@pytest.mark.parametrize("source", ["{% if %}", "{{ a | nope }}", "{{", "{% x %}"])
def test_problems_reports_what_cannot_be_read(source):
    (found,) = problems(source)
    assert found.severity == "error"
