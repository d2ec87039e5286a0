"""Which rules an event touches, and what must be known of the past to decide."""

from datetime import timedelta

import pytest

from campaigns.domain.condition_tree import AllOf, Not, parse_condition
from campaigns.domain.documents import Exit, Goal, Trigger, WaitFor
from campaigns.domain.events import EventType, IncomingEvent
from campaigns.domain.matching import (
    Question,
    Touches,
    concerns_people,
    condition_questions,
    exit_questions,
    journey_questions,
    match,
    questions,
    source_allowed,
)
from campaigns.domain.people import EventRef
from campaigns.domain.states import JourneyState, RuleStatus
from tests.unit.domain.people import (
    BACKEND,
    BROWSER,
    NOON,
    bought_once_within,
    hours,
    journey,
    ruleset,
    step,
    variant,
    version,
)

HOUR = timedelta(hours=1)
EARLIER = NOON - 3 * HOUR
FULL = version(
    step(
        variant(condition=bought_once_within(5, "hours")),
        variant("B", condition=bought_once_within(6, "hours")),
    ),
    step(
        variant(condition=bought_once_within(7, "hours")),
        wait_for=WaitFor(events=("Opened", "Read"), timeout=hours(1)),
    ),
    condition=bought_once_within(2, "hours"),
    exit=Exit(events=("Bought", "Left")),
    goal=Goal(event="Paid", window=hours(9)),
)
PLAIN = version(id=11, rule=8)


def event(name="", kind=EventType.TRACK, at=NOON, **traits):
    return IncomingEvent(
        message_id="m", type=kind, name=name, traits=traits, occurred_at=at
    )


def named(*names, since):
    return frozenset(Question(name, since) for name in names)


def test_an_event_touches_the_rules_that_start_with_its_name():
    rules = ruleset(FULL, PLAIN)
    assert match(rules, event("Carted")) == Touches((FULL, PLAIN))
    assert match(rules, event("carted")) == Touches(())
    assert match(rules, event("Bought")) == Touches(())


def test_an_event_without_a_name_touches_none():
    nameless = version(trigger=Trigger(events=("",)))
    assert match(ruleset(nameless), event("")) == Touches(())


def test_a_paused_rule_is_touched_by_nothing():
    rules = ruleset(FULL, status=RuleStatus.PAUSED)
    assert match(rules, event("Carted")) == Touches(())


@pytest.mark.parametrize(
    ("what", "matters"),
    [
        (event("Viewed"), False),
        (event("Carted"), True),
        (event("Left"), True),
        (event("Paid"), True),
        (event("Read"), True),
        (event("Bought"), True),
        (event("Viewed", plan="gold"), True),
        (event(kind=EventType.IDENTIFY, plan="gold"), True),
        (event(kind=EventType.IDENTIFY), False),
        (event(kind=EventType.GROUP, plan="gold"), False),
    ],
    ids=[
        "unknown", "trigger", "exit", "goal", "awaited", "condition", "traits",
        "identify", "identify-nothing", "group",
    ],
)  # fmt: skip
def test_a_person_is_looked_at_if_the_event_may_matter_to_them(what, matters):
    assert concerns_people(ruleset(FULL), what) is matters


def test_to_enter_a_rule_its_condition_and_what_ends_it_since_the_event_are_asked():
    asked = questions(Touches((FULL,)), event("Carted", at=EARLIER), now=NOON)
    condition = named("Bought", since=NOON - 2 * HOUR)
    later = named("Bought", "Left", "Paid", "Opened", "Read", since=EARLIER)
    assert asked == condition | later


def test_the_questions_of_all_rules_touched_are_asked_together():
    both = (version(condition=bought_once_within(1, "days")), FULL)
    asked = questions(Touches(both), event("Carted"), now=NOON)
    assert named("Bought", since=NOON - 24 * HOUR) < asked
    assert named("Bought", since=NOON - 2 * HOUR) < asked
    assert questions(Touches((PLAIN,)), event("Carted"), now=NOON) == frozenset()


def test_a_journey_asks_for_what_may_end_wake_or_convert_it_since_it_began():
    began = EventRef(100, NOON, EARLIER)
    restarted = journey(event=began, trigger=EventRef(101, NOON, NOON))
    asked = journey_questions(ruleset(FULL), [restarted])
    assert asked == named("Bought", "Left", "Paid", "Opened", "Read", since=EARLIER)


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ({"state": JourneyState.FINISHED, "goal_until": NOON}, True),
        ({"state": JourneyState.FINISHED}, False),
        (
            {
                "state": JourneyState.FINISHED,
                "goal_until": NOON,
                "converted_at": NOON,
            },
            False,
        ),
        ({"version": 99}, False),
    ],
    ids=["goal-to-come", "over", "converted", "unreadable"],
)
def test_only_a_journey_to_which_something_may_still_happen_asks(more, asks):
    assert bool(journey_questions(ruleset(FULL), [journey(**more)])) is asks


def test_each_of_many_journeys_asks():
    other = EventRef(100, NOON, EARLIER)
    over = journey(id=51, state=JourneyState.EXITED)
    many = [over, journey(version=11), journey(version=99), journey(event=other)]
    asked = journey_questions(ruleset(FULL, PLAIN), many)
    assert {one.since for one in asked} == {EARLIER}


def test_the_gate_asks_for_the_exits_since_the_journey_began():
    began = journey(event=EventRef(100, NOON, EARLIER))
    assert exit_questions(FULL, began) == named("Bought", "Left", since=EARLIER)
    assert exit_questions(PLAIN, began) == frozenset()


def test_to_look_at_all_conditions_again_each_is_asked_for_its_own_time():
    asked = condition_questions(FULL, now=NOON)
    assert asked == {Question("Bought", NOON - n * HOUR) for n in (2, 5, 6, 7)}


def test_questions_are_found_at_any_depth():
    deep = AllOf(parts=(Not(part=bought_once_within(1, "hours")),))
    plain = parse_condition({"field": "event.name", "op": "exists"})
    rule = version(condition=AllOf(parts=(plain, deep)))
    assert condition_questions(rule, now=NOON) == named("Bought", since=NOON - HOUR)


@pytest.mark.parametrize(
    ("source", "trigger", "allowed"),
    [
        (BACKEND, {}, True),
        (BROWSER, {}, False),
        (BROWSER, {"public": True}, True),
        (BACKEND, {"public": True}, True),
        (BACKEND, {"sources": (1, 3)}, True),
        (BACKEND, {"sources": (2, 3)}, False),
        (BROWSER, {"public": True, "sources": (1,)}, False),
        (BROWSER, {"public": True, "sources": (2,)}, True),
        (BROWSER, {"sources": (2,)}, False),
    ],
    ids=[
        "secret", "public", "public-marked", "secret-marked", "named", "not-named",
        "public-not-named", "public-named", "public-named-not-marked",
    ],
)  # fmt: skip
def test_a_rule_is_started_by_sources_it_names_and_public_ones_if_marked(
    source, trigger, allowed
):
    rule = version(trigger=Trigger(events=("Carted",), **trigger))
    assert source_allowed(rule, source) is allowed
