"""What one event does to one person: ends, wakes, conversions, restarts, entries."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from campaigns.domain.documents import Cooldown, Exit, Goal, Trigger, WaitFor
from campaigns.domain.entry import Decision
from campaigns.domain.matching import match
from campaigns.domain.people import EventRef
from campaigns.domain.react import look_back, react
from campaigns.domain.ruleset import Policy
from campaigns.domain.states import Arm, JourneyState, MessageState, Reason
from tests.unit.domain.people import (
    NOON,
    arrival,
    days,
    happened,
    hours,
    ids,
    journey,
    mail,
    person,
    ruleset,
    sending,
    state,
    step,
    version,
    where,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
PURCHASE = Exit(events=("Bought",))
GOAL = Goal(event="Bought", window=days(7))
WEEK_ON = NOON + timedelta(days=7)


def reacted(what, *rules, to=None, now=NOON, policy=None, new_id=None):
    """The state and the decisions after an event of somebody in state `to`."""
    rules = ruleset(*(rules or (version(),)), policy=policy)
    return react(
        to or state(),
        what,
        match(rules, what.event),
        rules,
        now=now,
        new_id=new_id or ids(),
    )


def decided(what, *rules, **more):
    (decision,) = reacted(what, *rules, **more)[1]
    return decision


class TestEntering:
    def test_an_event_that_starts_a_rule_starts_a_journey(self):
        what = arrival(at=NOON - HOUR)
        after, decisions = reacted(what, version(step(delay=hours(3))))
        began = EventRef(100, NOON, NOON - HOUR)
        assert after.journeys == {
            50: journey(event=began, trigger=began, due_at=NOON + 2 * HOUR)
        }
        assert decisions == (Decision(7, 10, Reason.ENTERED, {}, 50),)

    def test_an_event_that_starts_nothing_is_only_remembered(self):
        what = arrival("Viewed", total=50)
        after, decisions = reacted(what)
        remembered = happened("Viewed", id=100, received=NOON, total=50)
        assert after == state(remembered)
        assert decisions == ()

    def test_a_refusal_names_its_reason_and_the_values(self):
        rule = version(freshness=hours(1))
        after, decisions = reacted(arrival(at=NOON - 2 * HOUR), rule)
        values = {"occurred_at": "2026-03-02T10:00:00+00:00", "limit_s": 3600}
        assert decisions == (Decision(7, 10, Reason.TOO_OLD, values),)
        assert after.journeys == {}

    def test_each_rule_that_it_touches_decides_for_itself(self):
        stale = version(id=11, rule=8, freshness=hours(1))
        third = version(id=12, rule=9)
        what = arrival(at=NOON - 2 * HOUR)
        after, decisions = reacted(what, version(), stale, third)
        assert [(d.rule, d.version, d.reason, d.journey) for d in decisions] == [
            (7, 10, Reason.ENTERED, 50),
            (8, 11, Reason.TOO_OLD, None),
            (9, 12, Reason.ENTERED, 51),
        ]
        assert {j.id: j.rule for j in after.journeys.values()} == {50: 7, 51: 9}

    def test_who_is_held_out_is_counted_and_not_mailed(self):
        after, decisions = reacted(arrival(), version(holdout=10_000))
        assert decisions == (Decision(7, 10, Reason.CONTROL, {}, 50),)
        assert after.journeys[50] == journey(
            arm=Arm.CONTROL,
            state=JourneyState.FINISHED,
            due_at=None,
            ended_at=NOON,
            cause={"reason": "control"},
        )

    def test_a_decision_keeps_only_what_it_has_to_say(self):
        assert Decision(7, 10, Reason.ENTERED, {}, 50).as_json() == {
            "rule": 7,
            "version": 10,
            "reason": "entered",
            "journey": 50,
        }
        assert Decision(7, 10, Reason.COOLDOWN, {"key": "c1"}).as_json() == {
            "rule": 7,
            "version": 10,
            "reason": "cooldown",
            "detail": {"key": "c1"},
        }


class TestExits:
    def test_an_exit_ends_the_journey_and_is_named(self):
        queued = mail(state=MessageState.QUEUED)
        waits = state(sending(), queued)
        after, _ = reacted(arrival("Bought", id=201), version(exit=PURCHASE), to=waits)
        assert after.journeys[50] == sending(
            state=JourneyState.EXITED,
            ended_at=NOON,
            cause={
                "reason": "exit_event",
                "event": 201,
                "name": "Bought",
                "occurred_at": "2026-03-02T12:00:00+00:00",
            },
        )
        assert after.mails[60].state is MessageState.CANCELLED

    @pytest.mark.parametrize(
        ("exits", "what"),
        [
            (PURCHASE, arrival("Viewed")),
            (PURCHASE, arrival("Bought", NOON - MINUTE)),
            (PURCHASE, arrival("Bought", NOON + MINUTE)),
            (Exit(events=("Bought",), key="cart"), arrival("Bought", cart="c2")),
            (None, arrival("Bought")),
        ],
        ids=["another-name", "before", "to-come", "another-cart", "rule-without"],
    )
    def test_what_is_no_exit_ends_nothing(self, exits, what):
        waits = state(journey(exit_value="c1"))
        after, _ = reacted(what, version(exit=exits), to=waits)
        assert after.journeys[50] == journey(exit_value="c1")

    def test_an_exit_counts_from_the_event_that_started_the_journey_not_a_restart(self):
        restarted = journey(trigger=EventRef(101, NOON, NOON + HOUR))
        bought = arrival("Bought", NOON + MINUTE)
        after, _ = reacted(
            bought, version(exit=PURCHASE), to=state(restarted), now=NOON + HOUR
        )
        assert after.journeys[50].state is JourneyState.EXITED

    def test_an_event_may_end_one_rules_journey_and_start_another(self):
        """The purchase ends the reminders of the cart, and starts the thanks."""
        reminds = version(exit=PURCHASE)
        thanks = version(id=11, rule=8, trigger=Trigger(events=("Bought",)))
        what = arrival("Bought", id=101)
        after, decisions = reacted(what, reminds, thanks, to=state(journey(id=49)))
        assert after.journeys[49].state is JourneyState.EXITED
        assert decisions == (Decision(8, 11, Reason.ENTERED, {}, 50),)

    def test_an_exit_of_one_rule_ends_no_journey_of_another(self):
        other = journey(id=51, rule=8, version=11)
        rules = (version(exit=PURCHASE), version(id=11, rule=8))
        waits = state(journey(), other)
        after, _ = reacted(arrival("Bought"), *rules, to=waits)
        assert after.journeys[50].state is JourneyState.EXITED
        assert after.journeys[51] == other

    def test_every_journey_that_waits_is_looked_at(self):
        over = journey(id=47, state=JourneyState.CANCELLED)
        unreadable = journey(id=48, version=99)
        other = journey(id=49, rule=8, version=11)
        waits = state(over, unreadable, other, journey())
        rules = (version(exit=PURCHASE), version(id=11, rule=8))
        after, _ = reacted(arrival("Bought"), *rules, to=waits)
        assert after.journeys[50].state is JourneyState.EXITED
        assert [after.journeys[n] for n in (47, 48, 49)] == [over, unreadable, other]


class TestWakes:
    RULE = version(step(wait_for=WaitFor(events=("Opened",), timeout=hours(3))))
    ASLEEP = journey(wait_since=NOON, due_at=NOON + 3 * HOUR)

    def test_the_awaited_event_wakes_the_journey(self):
        opened = arrival("Opened", NOON + MINUTE, id=201)
        after, _ = reacted(opened, self.RULE, to=state(self.ASLEEP), now=NOON + HOUR)
        assert after.journeys[50] == replace(
            self.ASLEEP, woken_by=201, due_at=NOON + HOUR
        )

    def test_an_exit_at_the_same_time_wins(self):
        rule = version(*self.RULE.document.steps, exit=Exit(events=("Opened",)))
        after, _ = reacted(arrival("Opened"), rule, to=state(self.ASLEEP))
        assert after.journeys[50].state is JourneyState.EXITED
        assert after.journeys[50].woken_by is None


class TestConversions:
    RULE = version(goal=GOAL)
    BOUGHT = arrival("Bought", NOON + MINUTE, id=201)

    def converted(self, *past, what=None, now=None, rule=None, **more):
        """When the journey was converted, and by which event."""
        of = journey(**{"goal_until": WEEK_ON, **more})
        after, _ = reacted(
            what or self.BOUGHT,
            rule or self.RULE,
            to=state(of, *past),
            now=now or NOON + HOUR,
        )
        return after.journeys[50].converted_at, after.journeys[50].converted_by

    def test_a_journey_is_watched_for_its_goal_from_its_event_on(self):
        after, _ = reacted(arrival(at=NOON - HOUR), self.RULE)
        assert after.journeys[50].goal_until == WEEK_ON - HOUR

    def test_in_the_customers_days(self):
        """In the night of March 29 Berlin's clocks go forward."""
        berlin = state(who=person(time_zone="Europe/Berlin"))
        late = arrival(at=NOON + timedelta(days=26))
        rule = version(goal=Goal(event="Bought", window=days(1)))
        after, _ = reacted(late, rule, to=berlin, now=NOON + timedelta(days=26))
        assert after.journeys[50].goal_until == NOON + timedelta(days=26, hours=23)

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"state": JourneyState.SENDING},
            {"state": JourneyState.FINISHED},
            {"state": JourneyState.EXITED},
            {"state": JourneyState.CANCELLED},
            {"arm": Arm.CONTROL, "state": JourneyState.FINISHED},
        ],
        ids=["waiting", "sending", "finished", "exited", "cancelled", "control"],
    )
    def test_a_goal_converts_whatever_became_of_the_journey(self, more):
        assert self.converted(**more) == (NOON + MINUTE, 201)

    def test_a_goal_that_is_an_exit_too_is_counted(self):
        rule = version(goal=GOAL, exit=PURCHASE)
        assert self.converted(rule=rule) == (NOON + MINUTE, 201)

    @pytest.mark.parametrize(
        ("at", "counts"),
        [
            (NOON - MINUTE, False),
            (NOON, True),
            (WEEK_ON, True),
            (WEEK_ON + MINUTE, False),
        ],
        ids=["before", "begin", "end", "after"],
    )
    def test_only_within_its_time_does_it_count(self, at, counts):
        got = self.converted(what=arrival("Bought", at, id=201), now=WEEK_ON + HOUR)
        assert got == ((at, 201) if counts else (None, None))

    def test_what_was_converted_once_stays_so(self):
        had = {"converted_at": NOON, "converted_by": 150}
        assert self.converted(**had) == (NOON, 150)

    @pytest.mark.parametrize(
        "more",
        [{"rule": version()}, {"goal_until": None}, {"what": arrival("Viewed")}],
        ids=["no-goal", "not-watched", "another-name"],
    )
    def test_nothing_else_converts(self, more):
        assert self.converted(**more) == (None, None)

    def test_the_first_of_several_counts(self):
        got = self.converted(
            happened("Bought", NOON + 2 * MINUTE, id=202),
            happened("Bought", NOON + MINUTE / 2, id=203),
        )
        assert got == (NOON + MINUTE / 2, 203)

    def test_of_those_at_one_time_the_one_that_came_first(self):
        got = self.converted(
            happened("Bought", NOON + MINUTE, id=203, received=NOON - HOUR)
        )
        assert got == (NOON + MINUTE, 203)

    def test_the_event_that_started_the_journey_is_not_its_own_goal(self):
        again = version(goal=Goal(event="Carted", window=days(7)))
        after, _ = reacted(arrival(id=100), again)
        assert after.journeys[50].converted_at is None
        other = arrival(id=101)
        after, _ = reacted(other, again, to=after)
        assert after.journeys[50].converted_by == 101

    def test_a_goal_said_already_when_the_journey_begins_is_counted(self):
        """Events come in any order; the purchase may be told before the cart."""
        told = happened("Bought", NOON + MINUTE, id=201)
        after, _ = reacted(arrival(), self.RULE, to=state(told))
        assert after.journeys[50].converted_by == 201


class TestRestarts:
    RULE = version(step(delay=hours(3)), retrigger="restart")

    def test_the_wait_begins_anew_with_the_newer_event(self):
        later = arrival(at=NOON + MINUTE, id=101)
        after, decisions = reacted(
            later, self.RULE, to=state(journey()), now=NOON + HOUR
        )
        assert after.journeys == {
            50: journey(
                trigger=EventRef(101, NOON, NOON + MINUTE),
                due_at=NOON + 3 * HOUR + MINUTE,
            )
        }
        assert decisions == (Decision(7, 10, Reason.RESTARTED, {}, 50),)

    def test_a_mail_that_is_queued_already_is_cancelled(self):
        queued = mail(state=MessageState.QUEUED)
        later = arrival(at=NOON + MINUTE, id=101)
        after, _ = reacted(
            later, self.RULE, to=state(sending(revision=1), replace(queued, revision=1))
        )
        again = after.journeys[50]
        assert (again.state, again.revision) == (JourneyState.WAITING, 2)
        cancelled = after.mails[60]
        assert (cancelled.state, cancelled.reason) == ("cancelled", "restarted")
        assert cancelled.settled_at == NOON

    def test_a_parked_wait_begins_anew_and_stays_parked(self):
        parked = journey(state=JourneyState.HELD, due_at=None, held_due_at=NOON)
        later = arrival(at=NOON + MINUTE, id=101)
        after, _ = reacted(later, self.RULE, to=state(parked))
        assert after.journeys[50] == replace(
            parked,
            trigger=EventRef(101, NOON, NOON + MINUTE),
            held_due_at=NOON + 3 * HOUR + MINUTE,
        )


NAMES = frozenset({"Bought"})


def test_after_a_merge_the_whole_past_is_looked_at():
    told = happened("Bought", NOON + MINUTE)
    rules = ruleset(version(exit=PURCHASE))
    before = state(journey(), told)
    ended = look_back(before, rules, now=NOON + HOUR)
    assert ended.journeys[50].state is JourneyState.EXITED
    same = look_back(before, rules, now=NOON + HOUR, names=frozenset({"Viewed"}))
    assert same == before
    assert look_back(before, rules, now=NOON + HOUR, names=NAMES) == ended


class TestCooldowns:
    def test_a_cooldown_counts_from_now_in_the_customers_days(self):
        """The night in which Berlin's clocks go forward has 23 hours."""
        saturday = NOON + timedelta(days=26)
        rule = version(cooldown=Cooldown(duration=days(1)), holdout=10_000)
        for who, policy in (
            (person(time_zone="Europe/Berlin"), None),
            (person(), Policy(time_zone="Europe/Berlin")),
        ):
            after, _ = reacted(
                arrival(at=saturday - HOUR),
                rule,
                to=state(who=who),
                now=saturday,
                policy=policy,
            )
            assert after.cooldowns == {(7, ""): saturday + 23 * HOUR}

    def test_each_value_of_its_key_has_its_own(self):
        rule = version(cooldown=Cooldown(duration=hours(1), key="cart"))
        had = {(7, "c1"): NOON + HOUR, (8, "c2"): NOON + HOUR}
        busy = state(cooldowns=had)
        assert decided(arrival(cart="c1"), rule, to=busy).reason is Reason.COOLDOWN
        after, (decision,) = reacted(arrival(cart="c2"), rule, to=busy)
        assert decision.reason is Reason.ENTERED
        assert after.cooldowns == {**had, (7, "c2"): NOON + HOUR}
        assert after.journeys[50].key == "c2"

    def test_without_one_none_is_kept(self):
        assert reacted(arrival())[0].cooldowns == {}


def test_a_condition_sees_the_event_itself_in_the_past():
    rule = version(condition=where("event.properties.total", "gte", 50))
    assert decided(arrival(total=50), rule).reason is Reason.ENTERED
    assert decided(arrival(total=49), rule).reason is Reason.CONDITION
