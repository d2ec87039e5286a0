"""Whether an event starts a rule for a person, and if not, why."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.condition_tree import parse_condition
from campaigns.domain.documents import Cooldown, Exit, Trigger
from campaigns.domain.entry import (
    MAX_KEY_CHARS,
    Enter,
    NotEntered,
    Restart,
    can_restart,
    decide_entry,
    property_key,
    start_journey,
)
from campaigns.domain.states import Arm, JourneyState, MessageState, Reason
from tests.unit.domain.people import (
    BROWSER,
    NOON,
    arrival,
    bought_once_within,
    happened,
    hours,
    ids,
    journey,
    mail,
    person,
    ruleset,
    sending,
    state,
    version,
    where,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
HASHED = "12bf1cc881648017342067435dc826c6"
SHARE = 3811


def decided(rule=None, what=None, about=None, now=NOON):
    return decide_entry(rule or version(), what or arrival(), about or state(), now=now)


def reason_of(*args, **more):
    said = decided(*args, **more)
    return said.reason if isinstance(said, NotEntered) else None


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("c1", "c1"),
        ("  c1 ", "c1"),
        ("C1", "C1"),
        (42, "42"),
        (4.5, "4.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("", ""),
        ([1], ""),
        ({"a": 1}, ""),
        ("x" * MAX_KEY_CHARS, "x" * MAX_KEY_CHARS),
    ],
    ids=repr,
)
def test_a_key_is_the_text_of_its_value(value, key):
    assert property_key({"cart": value}, "cart") == key


def test_a_key_that_is_too_long_to_keep_is_hashed():
    """The same as `printf %0201d 0 | tr 0 x | b2sum -l 128`."""
    long = "x" * (MAX_KEY_CHARS + 1)
    assert property_key({"cart": long}, "cart") == HASHED
    assert property_key({"cart": long + "y"}, "cart") != HASHED


@pytest.mark.parametrize("name", [None, "", "other"])
def test_without_its_property_the_key_is_empty(name):
    assert property_key({"cart": "c1", "": "c2"}, name) == ""


class TestRefusals:
    def test_a_source_that_may_not_start_the_rule(self):
        rule = version(trigger=Trigger(events=("Carted",), sources=(3,)))
        assert decided(rule) == NotEntered(
            Reason.SOURCE, {"source": 1, "trust": "secret"}
        )
        assert decided(what=arrival(source=BROWSER)) == NotEntered(
            Reason.SOURCE, {"source": 2, "trust": "public"}
        )

    @pytest.mark.parametrize(
        ("ago", "too_old"),
        [(HOUR, False), (HOUR + timedelta(microseconds=1), True)],
        ids=["at-the-limit", "beyond"],
    )
    def test_an_event_older_than_the_limit(self, ago, too_old):
        what = arrival(at=NOON - ago)
        rule = version(freshness=hours(1))
        assert (reason_of(rule, what) is Reason.TOO_OLD) is too_old
        assert reason_of(version(), what) is None

    def test_a_condition_that_does_not_hold_is_kept_with_what_it_saw(self):
        said = decided(
            version(condition=where("event.properties.total", "gte", 50)),
            arrival(total=20),
        )
        assert said.reason is Reason.CONDITION
        assert said.detail["condition"]["holds"] is False
        assert said.detail["condition"]["leaves"][0]["seen"] == "20"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("event.name", "Carted"),
            ("event.properties.total", 50),
            ("event.context.ip", "1.2.3.4"),
            ("customer.email", "ada@example.com"),
        ],
    )
    def test_a_condition_sees_the_event_and_the_customer(self, field, value):
        rule = version(condition=where(field, "eq", value))
        what = arrival(total=50, context={"ip": "1.2.3.4"})
        assert reason_of(rule, what) is None

    def test_and_nothing_has_woken_a_journey_that_is_not_there(self):
        unwoken = {"field": "journey.woken_by", "op": "not_exists"}
        assert reason_of(version(condition=parse_condition(unwoken))) is None

    @pytest.mark.parametrize(
        ("ago", "holds"), [(59 * MINUTE, True), (HOUR, False)], ids=str
    )
    def test_and_the_past_up_to_now(self, ago, holds):
        rule = version(condition=bought_once_within(1, "hours"))
        about = state(happened("Bought", NOON - ago))
        assert (reason_of(rule, about=about) is None) is holds

    COOLING = version(cooldown=Cooldown(duration=hours(1), key="cart"))

    @pytest.mark.parametrize(
        ("until", "cools"), [(NOON, False), (NOON + MINUTE, True)], ids=["over", "not"]
    )
    def test_a_cooldown_that_is_not_over(self, until, cools):
        about = state(cooldowns={(7, "c1"): until})
        said = decided(self.COOLING, arrival(cart="c1"), about)
        refused = NotEntered(Reason.COOLDOWN, {"until": until.isoformat(), "key": "c1"})
        assert said == (refused if cools else Enter(self.COOLING, "c1", Arm.TREATED))
        assert reason_of(self.COOLING, arrival(cart="c2"), about) is None
        assert reason_of(version(rule=8), about=about) is None

    def test_a_cooldown_that_the_rule_no_longer_has_refuses_nobody(self):
        about = state(cooldowns={(7, ""): NOON + HOUR})
        assert reason_of(version(), about=about) is None

    def test_a_journey_of_the_rule_that_is_under_way(self):
        about = state(journey(id=49, key="c1"))
        said = decided(self.COOLING, arrival(cart="c1"), about)
        assert said == NotEntered(Reason.RUNNING, {"journey": 49})

    @pytest.mark.parametrize(
        "other",
        [
            journey(key="c2"),
            journey(key="c1", rule=8),
            journey(key="c1", state=JourneyState.FINISHED),
        ],
        ids=["other-cart", "other-rule", "over"],
    )
    def test_but_no_other_journey(self, other):
        assert reason_of(self.COOLING, arrival(cart="c1"), state(other)) is None

    def test_an_exit_that_was_told_before_the_event_it_followed(self):
        rule = version(exit=Exit(events=("Left", "Bought"), key="cart"))
        about = state(
            happened("Bought", NOON + MINUTE, id=201, cart="c1"),
            happened("Left", NOON + 2 * MINUTE, id=202, cart="c1"),
        )
        said = decided(rule, arrival(cart="c1"), about, now=NOON + HOUR)
        assert said == NotEntered(
            Reason.ALREADY_EXITED,
            {
                "reason": "exit_event",
                "event": 201,
                "name": "Bought",
                "occurred_at": "2026-03-02T12:01:00+00:00",
            },
        )
        assert reason_of(rule, arrival(cart="c2"), about, now=NOON + HOUR) is None
        assert reason_of(rule, arrival(cart="c1"), about, now=NOON) is None

    def test_any_exit_if_the_event_names_no_cart(self):
        """Better no mail than one after the purchase."""
        rule = version(exit=Exit(events=("Bought",), key="cart"))
        about = state(happened("Bought", cart="c1"))
        assert reason_of(rule, about=about) is Reason.ALREADY_EXITED
        assert reason_of(version(), about=about) is None

    def test_the_first_reason_is_told(self):
        """In this order: source, age, condition, cooldown, under way, exit."""
        everything = {
            "freshness": hours(1),
            "condition": where("event.properties.total", "gte", 50),
            "cooldown": Cooldown(duration=hours(1)),
            "exit": Exit(events=("Bought",)),
        }
        rule = version(**everything)
        bought = happened("Bought")
        cools = state(journey(), bought, cooldowns={(7, ""): NOON + HOUR})
        old = NOON - 2 * HOUR
        told = [
            reason_of(rule, arrival(at=old, source=BROWSER), cools),
            reason_of(rule, arrival(at=old), cools),
            reason_of(rule, arrival(total=20), cools),
            reason_of(rule, arrival(total=50), cools),
            reason_of(rule, arrival(total=50), state(journey(), bought)),
            reason_of(rule, arrival(total=50), state(bought)),
            reason_of(rule, arrival(total=50), state()),
        ]
        assert told == [
            Reason.SOURCE,
            Reason.TOO_OLD,
            Reason.CONDITION,
            Reason.COOLDOWN,
            Reason.RUNNING,
            Reason.ALREADY_EXITED,
            None,
        ]


@given(st.integers(0, 9999))
def test_without_a_holdout_all_are_treated_and_with_a_full_one_none(bucket):
    about = state(who=person(bucket=bucket))
    assert decided(version(), about=about).arm is Arm.TREATED
    assert decided(version(holdout=10_000), about=about).arm is Arm.CONTROL


class TestArms:
    @staticmethod
    def controls(**more):
        return {
            bucket
            for bucket in range(4000)
            if decided(version(**more), about=state(who=person(bucket=bucket))).arm
            is Arm.CONTROL
        }

    def test_a_tenth_means_a_tenth(self):
        assert 340 < len(self.controls(holdout=1000)) < 460

    def test_a_larger_holdout_keeps_who_was_held_out(self):
        small, large = self.controls(holdout=500), self.controls(holdout=1000)
        assert small < large

    def test_the_arms_of_two_rules_have_nothing_to_do_with_each_other(self):
        both = self.controls(holdout=1000) & self.controls(holdout=1000, salt="b")
        assert 10 < len(both) < 90

    def test_the_arm_is_kept_over_releases(self):
        """`printf salt:$bucket | b2sum -l 64` modulo 10,000, below and at it."""
        about = state(who=person(bucket=1234))
        for holdout, arm in ((SHARE, Arm.TREATED), (SHARE + 1, Arm.CONTROL)):
            assert decided(version(holdout=holdout), about=about).arm is arm


class TestRestarting:
    RULE = version(retrigger="restart", cooldown=Cooldown(duration=hours(1)))
    COOLS = {(7, ""): NOON + HOUR}

    def test_a_rule_that_restarts_does_so_even_within_the_cooldown(self):
        about = state(journey(), cooldowns=self.COOLS)
        assert decided(self.RULE, about=about) == Restart(journey())

    def test_a_journey_that_cannot_restart_is_under_way(self):
        on = state(journey(step=1))
        assert reason_of(self.RULE, about=on) is Reason.RUNNING
        cools = state(journey(step=1), cooldowns=self.COOLS)
        assert reason_of(self.RULE, about=cools) is Reason.COOLDOWN

    def test_only_an_event_that_is_news_restarts(self):
        about = state()
        event = arrival().event
        assert can_restart(journey(), event, about)
        assert not can_restart(journey(), arrival(at=NOON - MINUTE).event, about)

    @pytest.mark.parametrize("at", list(MessageState), ids=str)
    def test_a_mail_on_its_way_to_the_provider_is_not_taken_back(self, at):
        about = state(sending(), mail(state=at))
        may = can_restart(sending(), arrival().event, about)
        assert may is (at is not MessageState.SENDING)


class TestStarting:
    def started(self, rule, what=None, arm=Arm.TREATED):
        entered = Enter(rule, "", arm)
        return start_journey(
            state(),
            entered,
            what or arrival(),
            ruleset(rule),
            now=NOON,
            new_id=ids(),
        )

    def test_the_journey_told_of_is_the_one_in_the_state(self):
        after, begun = self.started(version())
        assert after.journeys == {50: begun}
        assert begun == journey()

    @pytest.mark.parametrize(("kind", "lane"), [("marketing", 1), ("transactional", 0)])
    def test_receipts_have_a_lane_of_their_own(self, kind, lane):
        assert self.started(version(kind=kind))[1].lane == lane

    @pytest.mark.parametrize(
        ("cart", "value"), [({"cart": "c1"}, "c1"), ({}, None), ({"cart": ""}, None)]
    )
    def test_it_keeps_the_value_by_which_its_exits_are_known(self, cart, value):
        rule = version(exit=Exit(events=("Bought",), key="cart"))
        assert self.started(rule, arrival(**cart))[1].exit_value == value

    def test_a_rule_whose_exits_have_no_key_keeps_none(self):
        rule = version(exit=Exit(events=("Bought",)))
        assert self.started(rule, arrival(cart="c1"))[1].exit_value is None
