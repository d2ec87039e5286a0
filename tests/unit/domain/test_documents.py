import copy
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import campaigns.domain.documents as documents
from campaigns.domain.documents import (
    Document,
    DocumentInvalid,
    Duration,
    Quiet,
    document_schema,
    dump_document,
    parse_document,
)
from campaigns.domain.problems import Problem

SCHEMA = Path(documents.__file__).with_name("rule.schema.v1.json")
HOUR = {"amount": 1, "unit": "hours"}
MISSING = object()


def minimal() -> dict:
    return {
        "schema": 1,
        "rule": 7,
        "version": 1,
        "name": "Welcome",
        "kind": "marketing",
        "topic": 3,
        "sender": 2,
        "salt": "abc",
        "trigger": {"events": ["Signed Up", "user.signup"]},
        "steps": [{"variants": [{"name": "A", "template_version": 5}]}],
    }


def full() -> dict:
    return {
        **minimal(),
        "topic_opt_in": True,
        "trigger": {"events": ["Cart Updated"], "sources": [1, 2], "public": True},
        "condition": {"field": "event.properties.total", "op": "gte", "value": 50},
        "cooldown": {"duration": {"amount": 7, "unit": "days"}, "key": "cart_id"},
        "exit": {"events": ["Order Completed"], "key": "cart_id"},
        "retrigger": "restart",
        "freshness": {"amount": 3, "unit": "days"},
        "holdout": 500,
        "goal": {"event": "Order Completed", "window": {"amount": 1, "unit": "weeks"}},
        "steps": [
            {
                "delay": {"amount": 2, "unit": "hours"},
                "window": {"weekdays": [0, 4], "start": "09:00", "end": "17:00"},
                "quiet": {"start": "22:00", "end": "07:00"},
                "variants": [
                    {
                        "name": "A",
                        "template_version": 1,
                        "weight": 3,
                        "condition": {
                            "did": "Order Completed",
                            "op": "exactly",
                            "times": 0,
                            "within": {"amount": 30, "unit": "days"},
                            "where": {
                                "field": "event.properties.total",
                                "op": "gt",
                                "value": 1,
                            },
                        },
                    },
                    {"name": "B", "template_version": 2, "weight": 0},
                    {"name": "C", "template_version": 3, "fallback": True},
                ],
                "expires_after": {"amount": 1, "unit": "days"},
            },
            {
                "wait_for": {"events": ["Email Opened"], "timeout": HOUR},
                "variants": [
                    {
                        "name": "A",
                        "template_version": 1,
                        "condition": {"field": "journey.woken_by", "op": "exists"},
                    }
                ],
            },
        ],
    }


def changed(path: str, value: object, base=full) -> dict:
    """The full document with one value replaced, put in, or (MISSING) taken out."""
    doc = copy.deepcopy(base())
    *way, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    here = doc
    for key in way:
        here = here[key]
    if value is MISSING:
        del here[last]
    else:
        here[last] = value
    return doc


def problems(raw: object) -> dict[str, str]:
    with pytest.raises(DocumentInvalid) as caught:
        parse_document(raw)
    return {problem.path: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("make", [minimal, full])
def test_a_document_survives_being_written_and_read(make):
    doc = parse_document(make())
    assert isinstance(doc, Document)
    assert parse_document(dump_document(doc)) == doc
    assert parse_document(json.dumps(dump_document(doc)).encode()) == doc
    assert hash(doc) == hash(parse_document(make()))


def test_what_is_left_out_has_its_default():
    doc = parse_document(minimal())
    step = doc.steps[0]
    assert (doc.holdout, doc.retrigger, doc.condition) == (0, "ignore", None)
    assert doc.trigger.sources is None
    assert step.delay == Duration(amount=0, unit="minutes")
    assert (step.variants[0].weight, step.variants[0].fallback) == (1, False)


@pytest.mark.parametrize("make", [minimal, full])
def test_the_schema_takes_every_good_document(make):
    validator = jsonschema.Draft202012Validator(document_schema())
    validator.check_schema(document_schema())
    validator.validate(make())
    validator.validate(dump_document(parse_document(make())))


def test_the_stored_schema_is_the_one_that_the_code_makes():
    assert json.loads(SCHEMA.read_text()) == document_schema()


SHAPE_FAULTS = [
    ("schema", 2, "schema", "must be 1"),
    ("schema", True, "schema", "must be 1"),
    ("rule", "7", "rule", "must be a whole number, not text"),
    ("rule", True, "rule", "must be a whole number, not true or false"),
    ("rule", 0, "rule", "must be a whole number of at least 1"),
    ("rule", 2**63, "rule", "must be a whole number of at least 1"),
    ("sender", MISSING, "sender", "is missing"),
    ("kind", "spam", "kind", 'must be "marketing" or "transactional"'),
    ("name", "", "name", "must not be empty"),
    ("name", "x" * 201, "name", "must be at most 200 characters"),
    ("colour", "red", "colour", "is not a known field here"),
    ("trigger", [], "trigger", "must be an object, not a list"),
    ("trigger/events", [], "trigger.events", "must have at least 1 entry"),
    ("trigger/events", ["x"] * 51, "trigger.events", "must have at most 50 entries"),
    ("trigger/events", "x", "trigger.events", "must be a list, not text"),
    ("trigger/events/0", None, "trigger.events[0]", "must be text, not null"),
    ("trigger/public", 1, "trigger.public", "must be true or false, not a number"),
    ("trigger/sources", [], "trigger.sources", "must have at least 1 entry"),
    ("holdout", 10_001, "holdout", "must be a whole number from 0 to 10000"),
    ("holdout", 1.0, "holdout", "must be a whole number, not a number with decimals"),
    ("steps", [], "steps", "must have at least 1 entry"),
    ("steps/0/delay/amount", -1, "steps[0].delay.amount",
     "must be a whole number from 0 to 10000000"),
    ("steps/0/delay/unit", "months", "steps[0].delay.unit",
     'must be "minutes" or "hours" or "days" or "weeks"'),
    ("steps/0/window/start", "24:00", "steps[0].window.start",
     "must be a time of day such as 09:00"),
    ("steps/0/window/start", "9:00", "steps[0].window.start",
     "must be a time of day such as 09:00"),
    ("steps/0/window/start", "09:00\n", "steps[0].window.start",
     "must be a time of day such as 09:00"),
    ("steps/0/window/start", "\u0660\u0669:\u0660\u0660", "steps[0].window.start",
     "must be a time of day such as 09:00"),
    ("steps/0/window/end", "24:01", "steps[0].window.end",
     "must be a time of day such as 09:00"),
    ("steps/0/window/weekdays/0", 7, "steps[0].window.weekdays[0]",
     "must be a whole number from 0 to 6"),
    ("steps/0/variants/1/weight", -1, "steps[0].variants[1].weight",
     "must be a whole number from 0 to 10000"),
    ("steps/0/variants", [], "steps[0].variants", "must have at least 1 entry"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "message"), SHAPE_FAULTS)
def test_a_wrong_shape_is_named_by_place_and_in_plain_words(
    path, value, where, message
):
    assert problems(changed(path, value)) == {where: message}


@pytest.mark.parametrize(("path", "value", "where", "message"), SHAPE_FAULTS)
def test_the_schema_refuses_what_the_parser_refuses(path, value, where, message):
    # JSON Schema takes 1.0 for a whole number; the rest it must refuse too.
    if value != 1.0 or isinstance(value, (bool, int)):
        validator = jsonschema.Draft202012Validator(document_schema())
        assert not validator.is_valid(changed(path, value))


CROSS_FAULTS = [
    ("topic", None, "topic", "marketing mail needs a topic"),
    ("kind", "transactional", "holdout", "transactional mail is for everybody"),
    ("name", " Welcome", "name", "must not begin or end with a space"),
    ("trigger/events", ["a", "a"], "trigger.events[1]", "is there twice"),
    ("trigger/events", ["a "], "trigger.events[0]", "begin or end with a space"),
    ("trigger/sources", [1, 1], "trigger.sources", "names a source twice"),
    ("exit/events", ["Cart Updated"], "exit.events[0]", "end where it starts"),
    ("exit/key", " x", "exit.key", "begin or end with a space"),
    ("cooldown/duration/amount", 0, "cooldown.duration.amount", "more than 0"),
    ("cooldown/duration/amount", 3661, "cooldown.duration", "at most 3660 days"),
    ("cooldown/key", "x ", "cooldown.key", "begin or end with a space"),
    ("freshness/amount", 0, "freshness.amount", "must be more than 0"),
    ("goal/window/amount", 53, "goal.window", "must be at most 366 days"),
    ("goal/event", " x", "goal.event", "begin or end with a space"),
    ("condition", {"field": "journey.woken_by", "op": "exists"}, "condition",
     "which only the variants"),
    ("condition", {"all": [{"not": {"field": "journey.woken_by", "op": "exists"}}]},
     "condition", "which only the variants"),
    ("steps/0/delay", {"amount": 367, "unit": "days"}, "steps[0].delay",
     "must be at most 366 days"),
    ("steps/0/delay/amount", 10_000_000, "steps[0].delay", "at most 366 days"),
    ("steps/0/expires_after/amount", 0, "steps[0].expires_after.amount", "more than 0"),
    ("steps/1/delay", HOUR, "steps[1].delay", "its time-out counts"),
    ("steps/1/wait_for/timeout/amount", 0, "steps[1].wait_for.timeout.amount",
     "must be more than 0"),
    ("steps/1/wait_for/events", ["a", "a"], "steps[1].wait_for.events[1]", "twice"),
    ("steps/0/window/end", "09:00", "steps[0].window.end", "differ from the start"),
    ("steps/0/quiet/end", "22:00", "steps[0].quiet.end", "differ from the start"),
    ("steps/0/window/weekdays", [4, 0], "steps[0].window.weekdays", "in order"),
    ("steps/0/window/weekdays", [0, 0], "steps[0].window.weekdays", "none twice"),
    ("steps/0/quiet", {"start": "08:00", "end": "18:00"}, "steps[0].quiet",
     "leaves no time"),
    ("steps/0/quiet", {"start": "00:00", "end": "24:00"}, "steps[0].quiet",
     "leaves no time"),
    ("steps/0/variants/1/name", "A", "steps[0].variants", "different names"),
    ("steps/0/variants/1/name", "B ", "steps[0].variants[1].name", "with a space"),
    ("steps/0/variants/0/weight", 0, "steps[0].variants", "a weight above 0"),
    ("steps/0/variants/1/fallback", True, "steps[0].variants", "at most one fallback"),
    ("steps/1/variants/0/fallback", True, "steps[1].variants", "not a fallback"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "message"), CROSS_FAULTS)
def test_parts_that_do_not_fit_are_named(path, value, where, message):
    found = problems(changed(path, value))
    assert list(found) == [where]
    assert message in found[where]


def test_an_opt_in_without_a_topic_is_refused():
    doc = {**minimal(), "kind": "transactional", "topic": None, "topic_opt_in": True}
    assert list(problems(doc)) == ["topic_opt_in"]


def test_every_problem_is_named_at_once():
    doc = full()
    doc["steps"][0]["variants"][1]["weight"] = "many"
    doc["steps"][1]["delay"] = 5
    doc["condition"] = {"any": [{"field": "event.name", "op": "gt", "value": "x"}]}
    del doc["salt"]
    assert list(problems(doc)) == [
        "salt",
        "condition.any[0].value",
        "steps[0].variants[1].weight",
        "steps[1].delay",
    ]


def test_the_error_reads_as_a_sentence():
    with pytest.raises(DocumentInvalid, match=r"^sender: is missing$"):
        parse_document(changed("sender", MISSING))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nonsense", b"\xff\xfe", b'{"schema": NaN}', b"[" * 100_000,
        b'{"a":' * 100_000, b" " * 1_000_001, b"[]", b"null", b"1e999",
        b'{"rule": ' + b"9" * 5000 + b"}", b'"\\ud800"',
    ],
)  # fmt: skip
def test_bytes_that_are_no_document_are_refused_not_crashed_on(raw):
    assert problems(raw)


def test_nesting_without_end_is_refused():
    condition: dict = {"field": "event.name", "op": "exists"}
    for _ in range(50_000):
        condition = {"not": condition}
    assert problems({**minimal(), "condition": condition})


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800"])
def test_text_that_the_database_cannot_keep_is_refused(bad):
    assert "cannot be stored" in problems(changed("salt", bad))["salt"]
    assert "cannot be stored" in problems({**minimal(), bad: 1})[""]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=8,
)


def places(value: object, at: str = "") -> list[str]:
    found = [at] if at else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in items:
        found += places(part, f"{at}/{key}" if at else str(key))
    return found


def parsed(raw: object) -> tuple[Document | None, tuple[Problem, ...]]:
    try:
        return parse_document(raw), ()
    except DocumentInvalid as invalid:
        return None, invalid.problems


@given(st.sampled_from(places(full())), json_values)
def test_any_json_anywhere_is_a_document_or_a_clear_refusal(path, value):
    raw = changed(path, value)
    doc, found = parsed(raw)
    if doc is None:
        assert found
        assert all(problem.message for problem in found)
    else:
        assert parse_document(dump_document(doc)) == doc


@given(json_values)
def test_any_json_at_all_is_refused(value):
    assert problems(value)


def test_quiet_hours_alone_may_not_take_the_whole_day():
    quiet = {"start": "00:00", "end": "23:59"}
    doc = changed("steps/1/quiet", quiet)
    assert parse_document(doc).steps[1].quiet == Quiet(start="00:00", end="23:59")
