from hypothesis import given
from hypothesis import strategies as st

from campaigns.rendering.preview import preview

EVENT = {"name": "Cart Updated", "properties": {"plan": "Pro"}}
ANA = {"first_name": "Ana"}


def test_it_shows_all_parts():
    shown = preview(
        "Hi {{ customer.first_name }}", "", "<p>{{ trigger.plan }}</p>", "", EVENT, ANA
    )
    assert shown.subject == "Hi Ana"
    assert "<p>Pro</p>" in shown.html
    assert "Pro" in shown.text
    assert shown.problems == ()
    assert shown.ms > 0


def test_bare_properties_will_do_for_an_event():
    assert (
        preview("{{ trigger.plan }}", "", "x", "", {"plan": "Pro"}, {}).subject == "Pro"
    )


def test_a_fault_in_one_part_spares_the_others():
    shown = preview("{{ customer.x }}", "{{ a }}", "<p>ok</p>", "{% if %}", EVENT, ANA)
    assert (shown.subject, shown.text) == ("", "")
    assert "<p>ok</p>" in shown.html
    parts = {problem.message.partition(":")[0] for problem in shown.problems}
    assert parts == {"Subject", "Preheader", "Text"}


def test_unknown_names_are_named_with_their_line():
    shown = preview("s", "", "a\n{{ custmer.x | default: 1 }}", "", EVENT, ANA)
    assert [p.line for p in shown.problems] == [2]
    assert "Did you mean “customer”?" in shown.problems[0].message


def test_sample_data_that_cannot_be_used_is_a_problem_too():
    shown = preview("s", "", "x", "", {"properties": {"a": object()}}, ANA)
    assert "Sample data" in shown.problems[0].message


TEXT = st.text(max_size=40) | st.sampled_from(["{{ x", "{% if %}", "{{ trigger.a }}"])
DATA = st.dictionaries(
    st.sampled_from(["name", "properties", "context", "occurred_at", "x"]),
    st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.text()),
)


@given(TEXT, TEXT, TEXT, TEXT, DATA, DATA)
def test_it_never_raises(subject, preheader, html, text, event, customer):
    shown = preview(subject, preheader, html, text, event, customer)
    assert shown.problems or shown.html


@given(st.text(alphabet=st.sampled_from("<>!-[]=/&#;'\" aistyle"), max_size=60))
def test_any_markup_becomes_text(html):
    shown = preview("s", "", f"x{html}", "", EVENT, ANA)
    assert shown.text or shown.problems
