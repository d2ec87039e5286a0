"""Templates that loop for ever, print too much or tie up the parser."""

import importlib.metadata
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.liquid import (
    Escaping,
    TemplateInvalid,
    compile_template,
    problems,
    render_liquid,
)
from campaigns.domain.liquid_budget import MAX_OUTPUT_BYTES

FACTS = {
    "customer": {
        "big": "x" * 50_000,
        "list": list(range(900)),
        "deep": [[["y" * 5_000] * 5] * 5],
    }
}
MANY = "{% for i in (1..1000) %}{% for j in (1..10) %}"
END = "{% endfor %}{% endfor %}"

HOSTILE = [
    "{{ (1..100000000) | join: ',' | size }}",
    "{{ (1..1001) | size }}",
    "{% for i in (1..1000000000) reversed %}{% endfor %}",
    "{% assign r = (1..1000000000) %}",
    "{% if (1..1000000000) contains 5 %}{% endif %}",
    "{% tablerow i in (1..1000000000) %}{% endtablerow %}",
    "{{ ('1'..'99999999999999999999') | first }}",
    "{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}",
    "{% for i in (1..1000) %}{% endfor %}" * 400,
    f"{MANY}{'{% if true %} {% endif %}' * 2000}{END}",
    f"{MANY}{('{% if ' + ' and '.join(['1 == 1'] * 90) + ' %} {% endif %}') * 50}{END}",
    f"{MANY}{{% cycle {','.join(['1'] * 400)} %}}{END}",
    f"{MANY}{'z' * 200_000}{END}",
    f"{MANY}{{% capture c %}}{'z' * 200_000}{{% endcapture %}}{END}",
    f"{MANY}{{{{ customer.big }}}}{END}",
    f"{MANY}{{{{ customer.big | url_encode | base64_encode | size }}}}{END}",
    f"{MANY}{{{{ customer.big | strip_html | squish | size }}}}{END}",
    f"{MANY}{{% assign u = customer.list | uniq %}}{END}",
    f"{MANY}{{% assign u = customer.list | sort | reverse %}}{END}",
    "{{ customer.big | replace: 'x', customer.big }}",
    "{{ customer.big | replace: '', customer.big }}",
    "{{ customer.big | split: '' | join: customer.big }}",
    "{% assign a = 'ab' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}",
    "{% assign a = 'ab' %}{% for i in (1..99) %}{% assign a = a | prepend: a %}{% endfor %}",
    "{% assign a = customer.list %}{% for i in (1..99) %}{% assign a = a | concat: a %}{% endfor %}",
    "{% assign a = 'ab' %}{% for i in (1..99) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}",
    "{% assign a = 9 %}{% for i in (1..999) %}{% assign a = a | times: a %}{% endfor %}",
    "{{ 1e308 | times: 1e308 }}",
    "{{ '" + "9" * 900 + "' | times: 9 }}",
    "{{ 'nan' | round }}",
    "{{ '2026-01-01' | date: '%1000000000d' }}",
    "{% if true %}" * 1_000,
    "{{ " * 80_000,
    "{{" + " " * 900 + "}}",
    "{% raw %}" * 20_000,
    "{% doc %}" * 20_000,
    "{{ a" + "[b" * 400 + "]" * 400 + " }}",
    "x" * 300_000,
    "{{ 1 }}" * 6_000,
    "".join(f"{{% assign v{i} = customer.big %}}" for i in range(500)),
]


@pytest.mark.parametrize("escaping", list(Escaping))
@pytest.mark.parametrize("source", HOSTILE, ids=lambda s: s[:40])
def test_a_hostile_template_is_refused_soon(source, escaping):
    started = thread_time()
    with pytest.raises(TemplateInvalid):
        render_liquid(compile_template(source, escaping), FACTS)
    # Half a second on an idle core; the machine that tests may be slow.
    assert thread_time() - started < 5


def test_the_verdict_is_the_same_each_time():
    compiled = compile_template(HOSTILE[9])
    verdicts = set()
    for _ in range(2):
        with pytest.raises(TemplateInvalid) as caught:
            render_liquid(compiled, FACTS)
        verdicts.add(str(caught.value))
    assert len(verdicts) == 1


def test_what_a_large_mail_needs_is_within_the_limits():
    row = "<tr><td>{{ p.name | upcase }}</td><td>{{ p.price | money: 'EUR' }}</td></tr>"
    source = "{% for p in trigger.products %}" + row + "{% endfor %}"
    products = [{"name": f"Thing {i}", "price": i} for i in range(500)]
    text = render_liquid(
        compile_template("<p>hello</p>" * 2_000 + source),
        {"trigger": {"products": products}},
    )
    assert text.count("<tr>") == 500


def test_the_seams_in_python_liquid_are_those_of_the_pinned_version():
    """The range, node count and scope of liquid_engine lean on its insides."""
    assert importlib.metadata.version("python-liquid") == "2.3.6"
    assert render_liquid(compile_template("{{ (1..1000) | size }}"), {}) == "1000"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "size", "first"]), inner)
    ),
    max_leaves=12,
)
NAMES = ["customer.a", "trigger", "trigger.a.b", "x", "trigger.a[0]", "forloop", "5"]
FILTERS = [
    "upcase",
    "plus: 2",
    "join: x",
    "sort",
    "uniq",
    "default: 'd'",
    "date",
    "sum",
]
FILTERS += ["money", "slice: 0, 3", "split: ''", "round: 2", "first", "map: 'a'"]
FILTERS += [
    "where: 'a', 1",
    "divided_by: 0",
    "truncate: x",
    "replace: x, x",
    "concat: x",
]
PIECES = st.one_of(
    st.text(max_size=20),
    st.builds(
        "{{{{ {} | {} }}}}".format, st.sampled_from(NAMES), st.sampled_from(FILTERS)
    ),
    st.builds("{{{{ {} }}}}".format, st.sampled_from(NAMES)),
    st.builds("{{% assign x = {} %}}".format, st.sampled_from(NAMES)),
    st.builds("{{% if {} > x %}}".format, st.sampled_from(NAMES)),
    st.builds("{{% for x in {} %}}".format, st.sampled_from(NAMES)),
    st.sampled_from(["{% endif %}", "{% endfor %}", "{% else %}", "{% break %}", "{{"]),
    st.sampled_from(["{% case x %}", "{% when 1 %}", "{% endcase %}", "{% cycle x %}"]),
)


def outcome(source, facts, escaping=Escaping.HTML):
    try:
        return render_liquid(compile_template(source, escaping), facts)
    except TemplateInvalid as error:
        return error


@given(
    pieces=st.lists(PIECES, max_size=12),
    facts=st.dictionaries(st.sampled_from(["customer", "trigger", "x"]), PLAIN),
    escaping=st.sampled_from(Escaping),
)
def test_any_template_with_any_facts_gives_text_or_template_invalid(
    pieces, facts, escaping
):
    source = "".join(pieces)
    problems(source)
    match outcome(source, facts, escaping):
        case TemplateInvalid() as error:
            assert error.reason
            assert 0 <= error.line <= source.count("\n") + 1
        case text:
            assert len(text.encode()) <= MAX_OUTPUT_BYTES


@given(name=st.sampled_from(FILTERS), value=PLAIN, other=PLAIN)
def test_every_filter_takes_every_value(name, value, other):
    source = "{{ a | " + name + " }}"
    assert isinstance(outcome(source, {"a": value, "x": other}), str | TemplateInvalid)
