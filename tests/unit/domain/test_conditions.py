import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.domain.condition_tree import (
    DATE_OPS,
    LIST_OPS,
    NO_VALUE,
    NUMBER_OPS,
    RELATIVE_OPS,
    TEXT_OPS,
)
from campaigns.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    ConditionInvalid,
    Facts,
    HistoryNeed,
    Leaf,
    Not,
    PastEvent,
    Verdict,
    dump_condition,
    evaluate,
    history_questions,
    parse_condition,
)
from campaigns.domain.documents import Duration, document_schema

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
WEEK = {"amount": 7, "unit": "days"}
SCALAR_OPS = ("eq", "ne", "contains", "not_contains")


class Rows:
    """A past that answers with every row it has; evaluate itself looks at times."""

    def __init__(self, rows: Sequence[PastEvent] = ()) -> None:
        self.rows = rows
        self.asked: list[tuple[str, datetime, datetime]] = []

    def events(
        self, name: str, since: datetime, until: datetime
    ) -> Sequence[PastEvent]:
        self.asked.append((name, since, until))
        return [row for row in self.rows if row.name == name]


def facts(
    properties: Mapping[str, object] | None = None,
    *,
    customer: Mapping[str, object] | None = None,
    past: Sequence[PastEvent] = (),
    woken_by: int | None = None,
) -> Facts:
    event = {
        "name": "Cart Updated",
        "properties": properties or {},
        "context": {"page": {"url": "https://shop.example/cart"}},
    }
    return Facts(event, customer or {}, {"woken_by": woken_by}, Rows(past))


def held(condition: object, known: Facts) -> Verdict:
    return evaluate(parse_condition(condition), known, now=NOW)


def leaf_of(op: str, value: object, *, seen: object) -> Leaf:
    node = {"field": "event.properties.x", "op": op}
    if op not in NO_VALUE:
        node["value"] = value
    verdict = held(node, facts({"x": seen}))
    assert verdict.holds is verdict.leaves[0].holds
    return verdict.leaves[0]


def order(days_ago: float, **properties: object) -> PastEvent:
    at = NOW - timedelta(days=days_ago)
    return PastEvent(1, "Order Completed", at, properties)


def did(op: str, times: int, **more: object) -> dict[str, object]:
    return {
        "did": "Order Completed",
        "op": op,
        "times": times,
        "within": WEEK,
        **more,
    }


def problems(obj: object) -> dict[str, str]:
    with pytest.raises(ConditionInvalid) as caught:
        parse_condition(obj)
    return {problem.path: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("op", "value", "seen", "holds"),
    [
        ("eq", "a", "a", True),
        ("eq", "a", "A", False),
        ("eq", 1, 1.0, True),
        ("eq", 1, True, False),
        ("eq", True, 1, False),
        ("eq", True, True, True),
        ("eq", 1, "1", False),
        ("eq", "1", 1, False),
        ("eq", "a", None, False),
        ("eq", "a", ["a"], False),
        ("eq", 0, math.nan, False),
        ("ne", 0, math.nan, True),
        ("ne", "a", "b", True),
        ("ne", "a", None, True),
        ("ne", 1, "1", True),
        ("gt", 50, 51, True),
        ("gt", 50, 50, False),
        ("gte", 50, 50, True),
        ("lt", 50, 49.5, True),
        ("lt", 50, 50, False),
        ("lte", 50, 50, True),
        ("gte", 50, "60", False),
        ("lt", 50, "40", False),
        ("gte", 0, True, False),
        ("gte", 0, None, False),
        ("gt", 0, math.nan, False),
        ("lte", 0, math.nan, False),
        ("gt", 0, math.inf, True),
        ("contains", "b", "abc", True),
        ("contains", "B", "abc", False),
        ("contains", "b", ["a", "b"], True),
        ("contains", 1, [True, 1], True),
        ("contains", 1, [True, "1"], False),
        ("contains", 1, "a1", False),
        ("contains", "1", 11, False),
        ("not_contains", "b", "abc", False),
        ("not_contains", "b", 7, True),
        ("starts_with", "ab", "abc", True),
        ("starts_with", "bc", "abc", False),
        ("ends_with", "bc", "abc", True),
        ("ends_with", "bc", ["bc"], False),
        ("in", ["a", 2], "a", True),
        ("in", ["a", 2], 2.0, True),
        ("in", ["a", 1], True, False),
        ("in", ["a"], None, False),
        ("not_in", ["a"], "b", True),
        ("not_in", ["a"], "a", False),
        ("not_in", ["a"], None, True),
        ("exists", None, 0, True),
        ("exists", None, "", True),
        ("exists", None, None, False),
        ("not_exists", None, None, True),
        ("not_exists", None, False, False),
        ("is_true", None, True, True),
        ("is_true", None, False, False),
        ("is_true", None, 1, False),
        ("is_true", None, "true", False),
        ("is_false", None, False, True),
        ("is_false", None, None, False),
        ("before", "2026-06-01", "2026-05-31T23:59:59Z", True),
        ("before", "2026-06-01", "2026-06-01", False),
        ("before", "2026-06-01T00:00:00+02:00", "2026-05-31T23:00:00Z", False),
        ("after", "2026-06-01", "2026-06-01T00:00:01Z", True),
        ("after", "2026-06-01", 1_780_000_000, False),
        ("after", "2026-06-01", "next June", False),
        ("within_last", WEEK, "2026-06-08T12:00:00Z", True),
        ("within_last", WEEK, "2026-06-08T11:59:59Z", False),
        ("within_last", WEEK, "2026-06-15T12:00:01Z", False),
        ("more_than_ago", WEEK, "2026-06-08T11:59:59Z", True),
        ("more_than_ago", WEEK, "2026-06-08T12:00:00Z", False),
        ("within_next", WEEK, "2026-06-22T12:00:00Z", True),
        ("within_next", WEEK, "2026-06-22T12:00:01Z", False),
        ("within_next", WEEK, "2026-06-15T11:59:59Z", False),
        ("within_last", WEEK, "9" * 100, False),
    ],
)
def test_each_operator_says_what_its_name_says(op, value, seen, holds):
    assert leaf_of(op, value, seen=seen).holds is holds


@pytest.mark.parametrize(
    ("op", "value", "seen", "reason"),
    [
        ("gte", 50, "60",
         '"60" is text, not a number (text is never read as a number)'),
        ("gte", 50, 60, "60 is at least 50"),
        ("gte", 50, 40, "40 is not at least 50"),
        ("gt", 0, True, "true is true or false, not a number"),
        ("gt", 0, [1, [2], {"a": 1}],
         "[1, a list, an object] is a list, not a number"),
        ("eq", 1, "1", '"1" is text, the value compared with a number'),
        ("eq", "a", "b", '"b" is not equal to "a"'),
        ("ne", "a", "b", '"b" is not equal to "a"'),
        ("contains", 1, "a1", '"a1" is text, the value looked for a number'),
        ("in", ["a", 2], "b", '"b" is not one of ["a", 2]'),
        ("before", "2026-06-01", "soon", '"soon" is text, not a date in ISO form'),
        ("exists", None, None, "there is no value"),
        ("not_exists", None, 5, "there is a value"),
        ("is_true", None, "yes", '"yes" is text, not true or false'),
        ("within_last", WEEK, "2026-06-14", '"2026-06-14" is within the last 7 days'),
    ],
)  # fmt: skip
def test_the_reason_names_what_was_seen(op, value, seen, reason):
    assert leaf_of(op, value, seen=seen).reason == f"event.properties.x: {reason}"


def test_a_number_too_long_to_be_written_is_still_compared():
    huge = 10**5000  # str() of it raises
    leaf = leaf_of("gt", 1.5, seen=huge)
    assert leaf.holds
    assert leaf.seen == "a number of more than 40 digits"
    assert leaf_of("lt", 1.5, seen=-huge).holds
    assert not leaf_of("eq", 1, seen=huge).holds


def test_what_is_not_there_is_false_with_that_reason():
    verdict = held({"field": "customer.plan.name", "op": "eq", "value": "pro"}, facts())
    assert verdict.leaves == (
        Leaf(
            path="",
            field="customer.plan.name",
            did=None,
            op="eq",
            expected='"pro"',
            seen="nothing",
            holds=False,
            reason="customer.plan.name: there is no such value",
        ),
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event.name", "Cart Updated"),
        ("event.properties.cart.items.1.sku", "b"),
        ("event.properties.utm.source", "ad"),
        ("event.context.page.url", "https://shop.example/cart"),
        ("customer.email", "ann@example.com"),
        ("customer.plan.name", "pro"),
        ("journey.woken_by", 7),
    ],
)
def test_every_root_can_be_looked_at(field, value):
    known = facts(
        {"cart": {"items": [{"sku": "a"}, {"sku": "b"}]}, "utm.source": "ad"},
        customer={"email": "ann@example.com", "plan": {"name": "pro"}},
        woken_by=7,
    )
    assert held({"field": field, "op": "eq", "value": value}, known).holds


@pytest.mark.parametrize("place", ["9", "-1", "x", "\u0661", "9" * 99])
def test_a_place_that_a_list_does_not_have_is_missing(place):
    node = {"field": f"event.properties.items.{place}", "op": "exists"}
    assert not held(node, facts({"items": ["a"]})).holds


def test_a_time_out_leaves_woken_by_empty():
    node = {"field": "journey.woken_by", "op": "exists"}
    assert not held(node, facts()).holds
    assert held(node, facts(woken_by=3)).holds


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (did("at_least", 2), True),
        (did("at_least", 3), False),
        (did("at_most", 2), True),
        (did("at_most", 1), False),
        (did("exactly", 2), True),
        (did("exactly", 1), False),
    ],
)
def test_events_are_counted_in_the_time_asked_for(condition, holds):
    past = [order(0), order(6.9), order(7), order(30), order(-0.1)]
    assert held(condition, facts(past=past)).holds is holds


def test_where_looks_at_the_past_event_and_not_at_this_one():
    where = {"field": "event.properties.total", "op": "gte", "value": 50}
    known = facts({"total": 99}, past=[order(1, total=60), order(2, total=10)])
    verdict = held(did("exactly", 1, where=where), known)
    assert verdict.holds
    assert verdict.leaves[0].seen == "once"
    assert verdict.leaves[0].reason == (
        "Order Completed with the values asked for: happened once, "
        "asked for is exactly once within 7 days"
    )


def test_the_past_is_asked_for_just_the_time_needed():
    known = facts(past=[order(1), order(2)])
    leaf = held(did("at_least", 1), known).leaves[0]
    assert known.past.asked == [("Order Completed", NOW - timedelta(days=7), NOW)]
    assert leaf.seen == "2 times or more"  # the answer may stop at its limit


def test_history_questions_are_each_asked_once_and_no_wider_than_needed():
    where = {"field": "event.properties.total", "op": "exists"}
    condition = parse_condition(
        {
            "all": [
                did("at_least", 3),
                {"not": {"any": [did("at_least", 3), did("exactly", 0, where=where)]}},
                {"field": "event.name", "op": "exists"},
            ]
        }
    )
    week = Duration(amount=7, unit="days")
    assert history_questions(condition) == (
        HistoryNeed("Order Completed", week, 4, needs_properties=False),
        HistoryNeed("Order Completed", week, 1000, needs_properties=True),
    )
    assert history_questions(None) == ()


def test_every_part_is_explained_with_its_place_in_the_tree():
    tree = {
        "all": [
            {"field": "event.properties.total", "op": "gte", "value": 50},
            {"not": {"any": [did("at_least", 1), did("exactly", 0)]}},
        ]
    }
    verdict = held(tree, facts({"total": 10}))
    assert [(leaf.path, leaf.holds) for leaf in verdict.leaves] == [
        ("/all/0", False),
        ("/all/1/not/any/0", False),
        ("/all/1/not/any/1", True),
    ]
    assert not verdict.holds
    stored = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert stored["holds"] is False
    assert stored["leaves"][0]["seen"] == "10"


def test_long_values_are_cut_in_the_explanation():
    assert len(leaf_of("eq", "a", seen="x" * 32_000).seen) == 200
    many = leaf_of("contains", "a", seen=list(range(5000))).seen
    assert many == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (5000)]"
    assert leaf_of("eq", 1, seen={"a": {"b": 1}}).seen == "an object with 1 fields"


def test_something_that_is_no_condition_is_a_programming_error():
    with pytest.raises(TypeError, match="is no condition"):
        evaluate(Condition(), facts(), now=NOW)


def nested(depth: int) -> object:
    node: object = {"field": "event.name", "op": "exists"}
    for _ in range(depth - 1):
        node = {"not": node}
    return node


EXISTS = {"field": "event.name", "op": "exists"}
FAULTS = [
    (None, "", "must be a condition (an object), not null"),
    ([], "", "must be a condition (an object), not a list"),
    ({}, "", "must have exactly one of"),
    ({"all": [EXISTS], "any": [EXISTS]}, "", "must have exactly one of"),
    ({"all": []}, "all", "at least one condition"),
    ({"any": EXISTS}, "any", "must be a list"),
    ({"all": [EXISTS, 5]}, "all[1]", "not a number"),
    ({"all": [EXISTS], "x": 1}, "x", "is not a known field here"),
    ({"not": None}, "not", "not null"),
    ({"not": EXISTS, "op": "eq"}, "op", "is not a known field here"),
    ({"field": "event.name"}, "op", "must be one of eq, ne"),
    ({"field": "event.name", "op": ["eq"]}, "op", "must be one of eq, ne"),
    ({"field": "event.name", "op": "eq"}, "value", "is missing"),
    ({"field": "event.name", "op": "exists", "value": 1}, "value", "left out"),
    ({"field": "event.name", "op": "eq", "value": None}, "value", "not null"),
    ({"field": "event.name", "op": "eq", "value": {}}, "value", "not an object"),
    ({"field": "event.name", "op": "gt", "value": "5"}, "value", "must be a number"),
    ({"field": "event.name", "op": "gt", "value": True}, "value", "must be a number"),
    ({"field": "event.name", "op": "gt", "value": math.nan}, "value", "finite"),
    ({"field": "event.name", "op": "eq", "value": math.inf}, "value", "finite"),
    ({"field": "event.name", "op": "eq", "value": 2**63}, "value", "too big"),
    ({"field": "event.name", "op": "eq", "value": "x" * 1001}, "value", "1000"),
    ({"field": "event.name", "op": "eq", "value": "a\0"}, "value", "cannot be stored"),
    ({"field": "event.name", "op": "contains", "value": ""}, "value", "not be empty"),
    ({"field": "event.name", "op": "ends_with", "value": 1}, "value", "must be text"),
    ({"field": "event.name", "op": "in", "value": "a"}, "value", "list of 1 to 500"),
    ({"field": "event.name", "op": "in", "value": []}, "value", "list of 1 to 500"),
    ({"field": "event.name", "op": "in", "value": [0] * 501}, "value", "1 to 500"),
    ({"field": "event.name", "op": "in", "value": [[]]}, "value[0]", "not a list"),
    ({"field": "event.name", "op": "before", "value": "June"}, "value", "2026-01-31"),
    ({"field": "event.name", "op": "before", "value": "1" * 50}, "value", "date such"),
    ({"field": "event.name", "op": "within_last", "value": 3}, "value", "a time such"),
    ({"field": "event.name", "op": "within_last", "value": {"amount": 0, "unit":
      "days"}}, "value", "more than nothing"),
    ({"field": "event.name", "op": "within_last", "value": {"amount": 9999, "unit":
      "weeks"}}, "value", "at most 3660 days"),
    ({"field": "name", "op": "exists"}, "field", "must be event.properties.<name>"),
    ({"field": "customer.", "op": "exists"}, "field", "customer.<name>"),
    ({"field": "event.__class__", "op": "exists"}, "field", "must be event"),
    ({"field": "customer.a.", "op": "exists"}, "field", "empty between its dots"),
    ({"field": "customer..a", "op": "exists"}, "field", "empty between its dots"),
    ({"field": 5, "op": "exists"}, "field", "must be a path"),
    ({"field": "customer." + "x" * 200, "op": "exists"}, "field", "200 characters"),
    (did("at_least", 0), "times", "must be at least 1"),
    (did("at_least", 101), "times", "from 0 to 100"),
    (did("at_least", True), "times", "from 0 to 100"),
    (did("at_least", 1.5), "times", "from 0 to 100"),
    (did("often", 1), "op", "at_least, at_most, exactly"),
    (did("exactly", 1, did=" "), "did", "an event's name"),
    (did("exactly", 1, did=5), "did", "an event's name"),
    (did("exactly", 1, did="x" * 201), "did", "1 to 200"),
    (did("exactly", 1, within=None), "within", "a time such"),
    (did("exactly", 1, where=5), "where", "not a number"),
    (did("exactly", 1, where=did("exactly", 1)), "where", "cannot stand inside"),
    (did("exactly", 1, where={"not": {"field": "customer.a", "op": "exists"}}),
     "where.not.field", "must be event.properties.<name>"),
    (nested(7), "not.not.not.not.not.not", "at most 6 levels"),
    (nested(50_000), "", "nested too deep"),
    ({"all": [EXISTS] * 100}, "all[99]", "at most 100"),
    ({"any": [{"all": [EXISTS] * 60}] * 50}, "any[1].all[37]", "at most 100"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "where", "message"), FAULTS)
def test_what_is_no_condition_is_refused_by_place(obj, where, message):
    found = problems(obj)
    assert list(found) == [where]
    assert message in found[where]


@pytest.mark.parametrize(
    "obj",
    [
        did("exactly", 1, within={"\ud83d": 3}),
        did("exactly", 1, within={"amount": 3, "unit": "\ud83d"}),
        {"field": "event.name", "op": "within_last", "value": {"a\ud800": 3}},
        {**EXISTS, "a\ud800b": 3},
        {**EXISTS, "a\0b": 3},
    ],
)
def test_what_cannot_be_stored_is_refused_in_words_that_can_be_shown(obj):
    with pytest.raises(ConditionInvalid, match="cannot be stored") as refused:
        parse_condition(obj)
    said = str(refused.value)
    assert said.encode()
    assert "\0" not in said


def test_bounds_can_be_reached():
    assert parse_condition(nested(6))
    assert parse_condition({"all": [EXISTS] * 99})
    assert parse_condition(did("at_most", 100))
    listed = {"field": "event.name", "op": "in", "value": ["x" * 1000] * 500}
    assert parse_condition(listed)


def test_paths_of_problems_start_where_the_condition_stands():
    with pytest.raises(ConditionInvalid, match=r"^steps\[0\]\.condition\.all: must"):
        parse_condition({"all": []}, at="steps[0].condition")


# Generated conditions and facts

names = st.sampled_from(["a", "b", "total"])
paths = st.sampled_from(["event.properties.", "customer.", "event.context."])
fields = st.builds(lambda p, n: p + n, paths, names)
where_fields = st.builds(lambda n: f"event.properties.{n}", names)
texts = st.sampled_from(["", "a", "ab", "1", "true", "2026-06-10", "2026-06-20T00:00Z"])
numbers = st.integers(-3, 3) | st.floats(-3, 3) | st.just(2**53 + 1)
scalars = texts | numbers | st.booleans()
spans = st.fixed_dictionaries(
    {
        "amount": st.integers(1, 50),
        "unit": st.sampled_from(["minutes", "hours", "days", "weeks"]),
    }
)
VALUES = [
    (SCALAR_OPS, scalars.filter(lambda v: v != "")),
    (tuple(NUMBER_OPS), numbers),
    (tuple(TEXT_OPS), texts.filter(bool)),
    (tuple(LIST_OPS), st.lists(scalars, min_size=1, max_size=4)),
    (tuple(DATE_OPS), st.sampled_from(["2026-06-12", "2026-06-15T12:00:00+02:00"])),
    (tuple(RELATIVE_OPS), spans),
]


def comparisons(at: st.SearchStrategy[str]) -> st.SearchStrategy[dict]:
    with_value = [
        st.fixed_dictionaries(
            {"field": at, "op": st.sampled_from(sorted(ops)), "value": values}
        )
        for ops, values in VALUES
    ]
    without = {"field": at, "op": st.sampled_from(sorted(NO_VALUE))}
    return st.one_of(*with_value, st.fixed_dictionaries(without))


def trees(leaves: st.SearchStrategy[dict], *, size: int) -> st.SearchStrategy[dict]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.fixed_dictionaries({"not": inner}),
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        ),
        max_leaves=size,
    )


counts = st.fixed_dictionaries(
    {
        "did": names,
        "op": st.sampled_from(["at_least", "at_most", "exactly"]),
        "times": st.integers(1, 3),
        "within": spans,
    },
    optional={"where": trees(comparisons(where_fields), size=2)},
)


def depth(node: object) -> int:
    if not isinstance(node, dict):
        return 0
    below = [node.get("not"), node.get("where")]
    below += [*node.get("all", ()), *node.get("any", ())]
    return 1 + max(depth(part) for part in [None, *below])


conditions = trees(comparisons(fields) | counts, size=6).filter(
    lambda node: depth(node) <= 5
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | texts
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner),
    max_leaves=6,
)
objects = st.dictionaries(names, json_values)
events = st.lists(
    st.builds(
        PastEvent,
        id=st.integers(),
        name=names,
        occurred_at=st.integers(-1, 60).map(lambda d: NOW - timedelta(days=d)),
        properties=objects,
    ),
    max_size=4,
)
known_facts = st.builds(
    lambda properties, context, customer, past: Facts(
        {"name": "a", "properties": properties, "context": context},
        customer,
        {"woken_by": None},
        Rows(past),
    ),
    objects,
    objects,
    objects,
    events,
)


@given(conditions)
def test_writing_and_reading_a_condition_gives_the_same(raw):
    condition = parse_condition(raw)
    written = dump_condition(condition)
    assert written == raw
    assert parse_condition(json.loads(json.dumps(written))) == condition


@given(conditions)
def test_the_schema_takes_every_condition(raw):
    schema = {
        "$ref": "#/$defs/Condition",
        "$defs": document_schema()["$defs"],
    }
    jsonschema.Draft202012Validator(schema).validate(raw)


@settings(max_examples=50)
@given(conditions, known_facts)
def test_no_facts_raise_and_every_verdict_can_be_kept(raw, known):
    verdict = held(raw, known)
    kept = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert kept["leaves"]
    for leaf in verdict.leaves:
        assert leaf.reason
        assert len(leaf.seen) <= 200
        assert (leaf.field is None) is not (leaf.did is None)


@settings(max_examples=50)
@given(st.lists(conditions, min_size=1, max_size=3), known_facts)
def test_de_morgan(raw, known):
    parts = tuple(parse_condition(one) for one in raw)

    def value(condition: Condition) -> bool:
        return evaluate(condition, known, now=NOW).holds

    flipped = tuple(Not(part=part) for part in parts)
    assert value(Not(part=AllOf(parts=parts))) is value(AnyOf(parts=flipped))
    assert value(Not(part=AnyOf(parts=parts))) is value(AllOf(parts=flipped))
    assert value(Not(part=Not(part=parts[0]))) is value(parts[0])


@settings(max_examples=50)
@given(conditions, known_facts)
def test_only_what_was_announced_is_asked_of_the_past(raw, known):
    condition = parse_condition(raw)
    evaluate(condition, known, now=NOW)
    needs = history_questions(condition)
    announced = {(need.name, NOW - _elapsed(need.within), NOW) for need in needs}
    assert set(known.past.asked) == announced


def _elapsed(within: Duration) -> timedelta:
    return timedelta(**{within.unit: within.amount})


@given(
    st.sampled_from(
        [("eq", "ne"), ("contains", "not_contains"), ("in", "not_in"),
         ("exists", "not_exists")]
    ),
    scalars.filter(lambda v: v != ""),
    json_values,
)  # fmt: skip
def test_an_operator_and_its_denial_never_agree(pair, value, seen):
    wanted = [value] if pair[0] == "in" else value
    one, other = (leaf_of(op, wanted, seen=seen).holds for op in pair)
    assert one is not other


@given(json_values)
def test_any_json_is_a_condition_or_a_clear_refusal(raw):
    assert problems(raw)
