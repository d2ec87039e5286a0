"""docs/marketers.md shows what templates and conditions really do."""

import itertools
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaigns.domain.condition_tree import FieldOp, parse_condition
from campaigns.domain.conditions import Facts, PastEvent, evaluate
from campaigns.domain.liquid import (
    Escaping,
    TemplateInvalid,
    compile_template,
    context_of,
    problems,
    render_liquid,
)
from demo.samples.events import CUSTOMER, EVENTS

TEXT = (Path(__file__).parents[2] / "docs" / "marketers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
NOW = datetime(2026, 3, 6, 15, tzinfo=UTC)


def pairs(second):
    return [
        (block, shown)
        for (kind, block), (after, shown) in itertools.pairwise(BLOCKS)
        if (kind, after) == ("liquid", second)
    ]


def rendered(source):
    name, properties = EVENTS["cart_reminder"]
    context = context_of(
        customer=CUSTOMER,
        event_name=name,
        properties=properties,
        context={},
        occurred_at=NOW,
    )
    return render_liquid(compile_template(source, Escaping.TEXT), context)


def test_every_example_is_followed_by_what_it_gives():
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds.count("liquid") == len(pairs("text")) + len(pairs("problem")) >= 7
    assert set(kinds) == {"json", "liquid", "text", "problem"}


@pytest.mark.parametrize(("source", "shown"), pairs("text"))
def test_an_example_prints_what_is_shown_below_it(source, shown):
    assert rendered(source).strip() == shown.strip()
    assert [p for p in problems(source) if p.severity == "error"] == []


@pytest.mark.parametrize(("source", "shown"), pairs("problem"))
def test_an_example_that_is_held_says_so(source, shown):
    with pytest.raises(TemplateInvalid) as held:
        rendered(source)
    assert str(held.value) == shown.strip()


class Past:
    """Three looks at products this week, and no order."""

    def events(self, name, since, until):
        if name != "Product Viewed":
            return []
        return [PastEvent(n, name, NOW.replace(hour=n), {}) for n in (1, 2, 3)]


@pytest.mark.parametrize("block", [b for kind, b in BLOCKS if kind == "json"])
def test_a_condition_holds_for_whom_it_is_meant_and_not_for_others(block):
    condition = parse_condition(json.loads(block))
    meant = Facts(
        {"name": "x", "properties": {"total": 50}, "context": {}},
        {
            "country": "BE",
            "email": "a@b.example",
            "trial_ends_at": "2026-03-08T12:00:00Z",
        },
        {"woken_by": None},
        Past(),
    )
    assert evaluate(condition, meant, now=NOW).holds
    late = NOW.replace(month=5)
    stranger = Facts(
        {"name": "x", "properties": {}, "context": {}}, {}, {"woken_by": None}, Past()
    )
    assert not evaluate(condition, stranger, now=late).holds


def test_every_operator_is_named_and_no_other():
    (section,) = re.findall(r"- Equal or not:(.*?)\n- `did`", TEXT, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", section)) == set(FieldOp.__args__)
