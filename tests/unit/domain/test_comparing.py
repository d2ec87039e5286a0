"""What one comparison says: its edges, and the sentence that explains it."""

import pytest

from campaigns.domain.comparing import MISSING, compare, look_up, same, show
from campaigns.domain.condition_tree import Compare, parse_condition
from campaigns.domain.conditions import Facts, evaluate
from campaigns.domain.people import Past as Rows
from tests.unit.domain.people import NOON, happened

DAY = {"amount": 1, "unit": "days"}


def said(op, value, seen):
    """Whether it holds for what was seen, and the reason without its path."""
    node = {"field": "event.properties.x", "op": op, "value": value}
    holds, reason = compare(parse_condition(node), seen, now=NOON)
    return holds, reason.removeprefix("event.properties.x: ")


@pytest.mark.parametrize(
    ("op", "value", "seen", "holds"),
    [
        ("after", "2026-06-01", "2026-06-01", False),
        ("after", "2026-06-01", "2026-05-31", False),
        ("within_last", DAY, "2026-03-02T12:00:00Z", True),
        ("within_next", DAY, "2026-03-02T12:00:00Z", True),
        ("within_next", DAY, "2026-03-02T12:00:01Z", True),
        ("ends_with", "ab", "abc", False),
        ("starts_with", "ab", "cab", False),
    ],
)
def test_edges(op, value, seen, holds):
    assert said(op, value, seen)[0] is holds


@pytest.mark.parametrize(
    ("op", "value", "seen", "reason"),
    [
        ("contains", "b", 7, "7 is a number, not text or a list"),
        ("starts_with", "b", ["b"], '["b"] is a list, not text'),
        ("ends_with", "b", None, "null is null, not text"),
        ("contains", "b", "abc", '"abc" is text or a list that contains "b"'),
        ("contains", "b", ["a"], '["a"] is not text or a list that contains "b"'),
        ("starts_with", "b", "abc", '"abc" is not text that starts with "b"'),
        ("ends_with", "c", "abc", '"abc" is text that ends with "c"'),
        ("before", "2026-06-01", "2026-01-01", '"2026-01-01" is before "2026-06-01"'),
        ("after", "2026-06-01", "2026-01-01", '"2026-01-01" is not after "2026-06-01"'),
        ("more_than_ago", DAY, "2026-01-01", '"2026-01-01" is longer ago than 1 day'),
        ("eq", "a", None, 'null is not equal to "a"'),
    ],
)
def test_the_reason_is_a_sentence(op, value, seen, reason):
    assert said(op, value, seen)[1] == reason


@pytest.mark.parametrize(
    ("op", "seen", "reason"),
    [
        ("is_true", True, "true is true"),
        ("is_true", False, "false is not true"),
        ("is_false", False, "false is false"),
    ],
)
def test_a_truth_is_compared_with_nothing(op, seen, reason):
    node = parse_condition({"field": "customer.vip", "op": op})
    assert compare(node, seen, now=NOON)[1] == f"customer.vip: {reason}"
    facts = Facts({}, {"vip": seen}, {}, Rows())
    assert evaluate(node, facts, now=NOON).leaves[0].expected == ""


def test_a_document_whose_date_is_none_is_never_met():
    """Published documents are checked; an older check may have let it pass."""
    node = Compare(field="customer.x", op="before", value="soon")
    assert compare(node, "2026-01-01", now=NOON) == (
        False,
        'customer.x: "soon" is not a date in ISO form',
    )


@pytest.mark.parametrize(
    ("left", "right", "are"),
    [
        (True, True, True),
        (True, 1, False),
        (0, False, False),
        (1, 1.0, True),
        (1, "1", False),
        ("1", 1, False),
        ("a", "a", True),
        (None, None, False),
        ([], [], False),
    ],
    ids=repr,
)
def test_truths_numbers_and_texts_are_each_equal_only_among_themselves(
    left, right, are
):
    assert same(left, right) is are


FACTS = {
    "a": {"b": {"c": 1, "f": 4}, "b.c": 2, "d.e": 3},
    "items": [{"sku": "x"}, [4, 5], None],
    "none": None,
    "long": list(range(100_001)),
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b.f", 4),
        ("a.b.c", 2),
        ("a.d.e", 3),
        ("items.0.sku", "x"),
        ("items.1.1", 5),
        ("items.2", None),
        ("none", None),
        ("long.99999", 99_999),
        ("long.100000", MISSING),
        ("items.3", MISSING),
        ("a.x", MISSING),
        ("x", MISSING),
        ("a.b.c.d", MISSING),
        ("none.x", MISSING),
        ("items.0.sku.0", MISSING),
    ],
)
def test_a_path_finds_what_is_there_and_else_that_nothing_is(path, found):
    assert look_up(FACTS, path) == found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (MISSING, "nothing"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ({"a": 1, "b": 2}, "an object with 2 fields"),
        (10**40 - 1, "9" * 40),
        (10**40, "a number of more than 40 digits"),
        (-(10**40), "a number of more than 40 digits"),
        (list(range(10)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"),
        (list(range(11)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (11)]"),
        ("x" * 198, '"' + "x" * 198 + '"'),
        ("x" * 199, '"' + "x" * 198 + "…"),
        ("x" * 1000, '"' + "x" * 198 + "…"),
    ],
    ids=lambda value: "missing" if value is MISSING else str(value)[:24],
)
def test_a_value_is_shown_as_people_read_it(value, shown):
    assert show(value) == shown


def bought(where=None, **more):
    node = {"did": "Bought", "op": "at_least", "times": 1, "within": DAY, **more}
    return parse_condition({**node, "where": where} if where else node)


def leaf_of(condition, *past):
    facts = Facts({}, {}, {}, Rows(past))
    (leaf,) = evaluate(condition, facts, now=NOON).leaves
    return leaf


def test_a_count_is_explained_like_a_comparison():
    leaf = leaf_of(bought(), happened("Bought"))
    assert (leaf.did, leaf.field, leaf.op) == ("Bought", None, "at_least")
    assert leaf.expected == "at least once within 1 day"
    assert leaf.reason == (
        "Bought: happened once, asked for is at least once within 1 day"
    )


def test_a_where_may_ask_for_times_that_are_told_from_now():
    soon = {"field": "event.properties.by", "op": "within_next", "value": DAY}
    early = happened("Bought", by="2026-03-02T13:00:00Z")
    late = happened("Bought", by="2026-03-04")
    assert leaf_of(bought(soon), early).holds
    assert not leaf_of(bought(soon), late).holds


@pytest.mark.parametrize("condition", [None, 5, "x"], ids=repr)
def test_what_is_no_condition_is_named(condition):
    with pytest.raises(TypeError, match=f"{type(condition).__name__} is no condition"):
        evaluate(condition, Facts({}, {}, {}, Rows()), now=NOON)
