"""A journey's way from step to step: when a step is due, and what it then does."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from campaigns.domain.documents import Quiet, WaitFor, Window
from campaigns.domain.ruleset import Policy
from campaigns.domain.states import (
    JourneyState,
    Kind,
    MessageState,
    RuleStatus,
)
from campaigns.domain.steps import (
    Begin,
    Cancel,
    Park,
    Pass,
    Send,
    Sleep,
    Trigger,
    advance,
    begin_step,
    choose_variant,
    look_for_wake,
)
from tests.unit.domain.people import (
    NOON,
    bought_once_within,
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
    variant,
    version,
    where,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
CART = Trigger("Carted", {"total": 50}, {"ip": "1.2.3.4"})
AFTERNOONS = Window(weekdays=tuple(range(7)), start="14:00", end="18:00")
SIESTA = Quiet(start="12:00", end="14:00")
OPENED = WaitFor(events=("Opened", "Read"), timeout=hours(3))
UNREADABLE = {"reason": "rule_unreadable", "since": NOON.isoformat()}


def begun(a_step, *past, base=NOON, now=NOON, who=None, policy=None, **more):
    """A journey at the beginning of that step."""
    rules = ruleset(version(a_step), policy=policy)
    about = state(*past, who=who)
    return begin_step(about, journey(**more), rules, base=base, now=now)


class TestBeginningAStep:
    def test_its_delay_counts_from_the_base(self):
        assert begun(step(delay=hours(2)), base=NOON - HOUR).due_at == NOON + HOUR

    def test_it_is_never_due_in_the_past(self):
        late = begun(step(delay=hours(2)), base=NOON - 5 * HOUR)
        assert late.due_at == NOON

    @pytest.mark.parametrize("closed", [{"window": AFTERNOONS}, {"quiet": SIESTA}])
    def test_it_is_due_when_mail_may_leave(self, closed):
        opens = NOON + 2 * HOUR
        assert begun(step(**closed)).due_at == opens
        assert begun(step(**closed), base=NOON - 9 * HOUR).due_at == opens

    def test_days_and_windows_are_those_of_the_customers_zone(self):
        tokyo = person(time_zone="Asia/Tokyo")  # 21:00 there
        opens = NOON + 17 * HOUR
        assert begun(step(window=AFTERNOONS), who=tokyo).due_at == opens
        late = begun(step(window=AFTERNOONS), who=tokyo, base=NOON - 30 * HOUR)
        assert late.due_at == opens

    def test_a_demonstration_at_speed_divides_the_delay(self):
        fast = begun(step(delay=hours(2)), policy=Policy(speed=60))
        assert fast.due_at == NOON + 2 * MINUTE

    def test_nothing_is_left_of_the_step_before(self):
        at = begun(
            step(delay=hours(1)),
            state=JourneyState.HELD,
            held_due_at=NOON,
            wait_since=NOON,
            woken_by=300,
            cause=UNREADABLE,
        )
        assert at == journey(due_at=NOON + HOUR)

    def test_a_step_that_waits_for_an_event_is_due_at_its_time_out(self):
        at = begun(step(wait_for=OPENED), base=NOON - HOUR)
        assert (at.due_at, at.wait_since) == (NOON + 2 * HOUR, NOON - HOUR)
        assert at.woken_by is None

    def test_an_event_that_came_since_wakes_it_at_once(self):
        came = happened("Read", NOON - MINUTE, id=201)
        at = begun(step(wait_for=OPENED), came, base=NOON - HOUR)
        assert (at.due_at, at.woken_by) == (NOON, 201)

    def test_without_a_version_it_waits_for_one_and_keeps_the_base(self):
        had = {"held_due_at": NOON, "wait_since": NOON, "woken_by": 300}
        at = begin_step(state(), sending(**had), ruleset(), base=NOON - HOUR, now=NOON)
        since = {"reason": "rule_unreadable", "since": "2026-03-02T11:00:00+00:00"}
        assert at == journey(cause=since)
        assert at.unbegun


class TestWaking:
    def woken(self, *past, a_step=None, now=NOON + HOUR, who=None, rules=None, **more):
        rules = rules or ruleset(version(a_step or step(wait_for=OPENED)))
        asleep = {"wait_since": NOON, "due_at": NOON + 3 * HOUR, **more}
        return look_for_wake(state(*past, who=who), journey(**asleep), rules, now=now)

    ASLEEP = journey(wait_since=NOON, due_at=NOON + 3 * HOUR)

    def test_the_first_of_the_awaited_events_wakes_it(self):
        at = self.woken(
            happened("Opened", NOON + 2 * MINUTE, id=201),
            happened("Read", NOON + MINUTE, id=202),
            happened("Opened", NOON + 3 * MINUTE, id=203),
        )
        assert at == replace(self.ASLEEP, woken_by=202, due_at=NOON + HOUR)

    def test_of_events_at_one_time_the_one_that_came_first(self):
        at = self.woken(
            happened("Opened", id=201, received=NOON + 2 * MINUTE),
            happened("Opened", id=202, received=NOON + MINUTE),
        )
        assert at.woken_by == 202

    @pytest.mark.parametrize(
        "past",
        [
            (),
            (happened("Viewed", NOON + MINUTE),),
            (happened("Opened", NOON - MINUTE),),
            (happened("Opened", NOON + HOUR + MINUTE),),
        ],
        ids=["nothing", "another-name", "before-the-wait", "still-to-come"],
    )
    def test_nothing_else_wakes_it(self, past):
        assert self.woken(*past) == self.ASLEEP

    @pytest.mark.parametrize("at", [NOON, NOON + HOUR], ids=["begin", "now"])
    def test_both_ends_of_the_wait_belong_to_it(self, at):
        assert self.woken(happened("Opened", at, id=201)).woken_by == 201

    @pytest.mark.parametrize("closed", [{"window": AFTERNOONS}, {"quiet": SIESTA}])
    def test_it_goes_on_when_mail_may_leave(self, closed):
        a_step = step(wait_for=OPENED, **closed)
        at = self.woken(happened("Opened", id=201), a_step=a_step)
        assert (at.woken_by, at.due_at) == (201, NOON + 2 * HOUR)

    def test_in_the_customers_zone(self):
        a_step = step(wait_for=OPENED, window=AFTERNOONS)
        kiev = person(time_zone="Europe/Kiev")  # 15:00 there
        at = self.woken(happened("Opened"), a_step=a_step, who=kiev)
        assert at.due_at == NOON + HOUR

    def test_a_parked_journey_is_woken_but_stays_parked(self):
        parked = {"state": JourneyState.HELD, "due_at": None, "held_due_at": NOON}
        at = self.woken(happened("Opened", id=201), **parked)
        assert at == replace(
            self.ASLEEP,
            state=JourneyState.HELD,
            due_at=None,
            woken_by=201,
            held_due_at=NOON + HOUR,
        )

    @pytest.mark.parametrize(
        "already",
        [
            {"woken_by": 300},
            {"wait_since": None},
            {"state": JourneyState.SENDING},
            {"state": JourneyState.EXITED},
            {"cause": UNREADABLE},
        ],
        ids=["woken", "not-waiting", "sending", "over", "unbegun"],
    )
    def test_who_does_not_sleep_is_not_woken(self, already):
        assert self.woken(happened("Opened"), **already) == replace(
            self.ASLEEP, **already
        )

    def test_a_step_that_waits_for_nothing_is_not_woken(self):
        assert self.woken(happened("Opened"), a_step=step()) == self.ASLEEP

    def test_nor_is_one_whose_version_cannot_be_read(self):
        assert self.woken(happened("Opened"), rules=ruleset()) == self.ASLEEP


def advanced(rule=None, *, of=None, rules=None, about=None, now=NOON):
    """What a journey whose timer is due does."""
    rules = rules or ruleset(rule or version())
    return advance(
        of or journey(), about or state(), CART, rules, now=now, new_id=ids(60)
    )


class TestAdvancing:
    def test_a_due_step_queues_its_mail(self):
        assert advanced() == Send(
            mail(state=MessageState.QUEUED, not_before=NOON, attempt=0, token=None)
        )

    def test_the_mail_is_of_the_journeys_place_and_the_versions_provider(self):
        at = journey(step=1, revision=2, lane=0, due_at=NOON - HOUR)
        rule = version(step(), step(variant(template_version=9)), kind="transactional")
        (sent,) = (advanced(rule, of=at).mail,)
        assert (sent.step, sent.revision, sent.lane) == (1, 2, 0)
        assert (sent.kind, sent.template_version) == (Kind.TRANSACTIONAL, 9)
        assert (sent.due_at, sent.not_before) == (NOON - HOUR, NOON)

    def test_it_expires_so_long_after_it_was_due(self):
        rule = version(step(expires_after=hours(2)))
        late = journey(due_at=NOON - HOUR)
        assert advanced(rule, of=late).mail.not_after == NOON + HOUR

    def test_days_until_it_expires_are_those_of_the_customer(self):
        """The night in which Berlin's clocks go forward has 23 hours."""
        rule = version(step(expires_after=days(1)))
        berlin = state(who=person(time_zone="Europe/Berlin"))
        saturday = NOON + timedelta(days=26)
        sent = advanced(rule, of=journey(due_at=saturday), about=berlin, now=saturday)
        assert sent.mail.not_after == saturday + 23 * HOUR

    def test_an_archived_rule_ends_it(self):
        for rules in (
            ruleset(version(), status=RuleStatus.ARCHIVED),
            ruleset(status=RuleStatus.ARCHIVED),
            ruleset(version(rule=8)),
        ):
            assert advanced(rules=rules) == Cancel()

    @pytest.mark.parametrize(
        "rules",
        [ruleset(version(), status=RuleStatus.PAUSED), ruleset()],
        ids=["paused", "unreadable"],
    )
    def test_a_paused_or_unreadable_rule_parks_it_with_its_time(self, rules):
        late = journey(due_at=NOON - HOUR)
        assert advanced(rules=rules, of=late) == Park(NOON - HOUR)
        unbegun = journey(due_at=None, cause=UNREADABLE)
        assert advanced(rules=rules, of=unbegun) == Park(NOON)

    def test_a_step_that_could_not_be_begun_begins(self):
        assert advanced(of=journey(cause=UNREADABLE)) == Begin()

    @pytest.mark.parametrize("closed", [{"window": AFTERNOONS}, {"quiet": SIESTA}])
    def test_a_closed_window_is_waited_for(self, closed):
        assert advanced(version(step(**closed))) == Sleep(NOON + 2 * HOUR)

    def test_in_the_customers_zone(self):
        kiev = state(who=person(time_zone="Europe/Kiev"))  # 14:00 there
        assert isinstance(advanced(version(step(window=AFTERNOONS)), about=kiev), Send)
        tokyo = state(who=person(time_zone="Asia/Tokyo"))  # 21:00 there
        opens = NOON + 17 * HOUR
        closed = advanced(version(step(window=AFTERNOONS)), about=tokyo)
        assert closed == Sleep(opens)

    def test_its_variants_are_held_against_the_past_up_to_now(self):
        rule = version(step(variant(condition=bought_once_within(1, "hours"))))
        about = state(happened("Bought", NOON - 59 * MINUTE))
        assert isinstance(advanced(rule, about=about), Send)
        assert isinstance(advanced(rule, about=about, now=NOON + MINUTE), Pass)

    def test_a_step_for_whom_no_variant_is_meant_is_passed(self):
        gold = variant(condition=where("customer.plan", "eq", "gold"))
        passed = advanced(version(step(), step(gold)), of=journey(step=1))
        assert passed == Pass({"step": 1, "reason": "no_variant"})


def chosen(*variants, who=None, about=None, salt="salt", at=0, of=None, now=NOON):
    rule = version(*[step(*variants)] * (at + 1), salt=salt)
    about = about or state(who=who)
    return choose_variant(of or journey(step=at), about, CART, rule, now=now)


class TestChoosingAVariant:
    GOLD = variant("gold", condition=where("customer.plan", "eq", "gold"))

    def test_the_first_whose_condition_holds_is_chosen(self):
        gold = person(traits={"plan": "gold"})
        assert chosen(self.GOLD, variant("rest"), who=gold) == (0, self.GOLD)
        assert chosen(self.GOLD, variant("rest")) == (1, variant("rest"))

    def test_or_none(self):
        assert chosen(self.GOLD) is None

    def test_a_fallback_is_never_chosen(self):
        assert chosen(variant("F", fallback=True)) is None
        assert chosen(variant("F", fallback=True), variant("A")) == (1, variant("A"))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("event.name", "Carted"),
            ("event.properties.total", 50),
            ("event.context.ip", "1.2.3.4"),
            ("customer.email", "ada@example.com"),
            ("journey.woken_by", 300),
        ],
    )
    def test_it_sees_the_event_the_customer_and_what_woke_the_journey(
        self, field, value
    ):
        its = variant(condition=where(field, "eq", value))
        assert chosen(its, of=journey(woken_by=300)) == (0, its)

    def test_and_the_past_up_to_now(self):
        its = variant(condition=bought_once_within(1, "hours"))
        about = state(happened("Bought", NOON))
        assert chosen(its, about=about, now=NOON + 59 * MINUTE) == (0, its)
        assert chosen(its, about=about, now=NOON + HOUR) is None

    @staticmethod
    def shares(*variants, **more):
        """Return how many of 4,000 people get each."""
        return Counter(
            chosen(*variants, who=person(bucket=bucket), **more)[1].name
            for bucket in range(4000)
        )

    def test_variants_with_one_condition_share_its_people_by_weight(self):
        got = self.shares(
            variant("A", weight=1), self.GOLD, variant("B", weight=3), at=0
        )
        assert set(got) == {"A", "B"}
        assert 900 < got["A"] < 1100

    def test_each_of_three_gets_its_weight(self):
        got = self.shares(
            variant("A", weight=2), variant("B", weight=0), variant("C", weight=2)
        )
        assert set(got) == {"A", "C"}
        assert 1900 < got["A"] < 2100

    def test_a_fallback_of_the_same_condition_has_no_share(self):
        got = self.shares(variant("A"), variant("F", fallback=True))
        assert got == {"A": 4000}

    def test_without_any_weight_the_first_gets_all(self):
        got = self.shares(variant("A", weight=0), variant("B", weight=0))
        assert got == {"A": 4000}

    def test_who_gets_what_is_drawn_anew_for_each_step_and_rule(self):
        both = (variant("A"), variant("B"))

        def drawn(**more):
            return [chosen(*both, who=person(bucket=n), **more)[0] for n in range(64)]

        first = drawn()
        for other in (drawn(at=1), drawn(salt="other")):
            same = sum(a == b for a, b in zip(first, other, strict=True))
            assert 16 < same < 48

    def test_the_draw_is_kept_over_releases(self):
        """Who got A keeps A: a change of the draw would mix up running tests.

        The last bits of `printf salt:0:$n | b2sum -l 64`, n from 0 to 15.
        """
        both = (variant("A"), variant("B"))
        drawn = [chosen(*both, who=person(bucket=n))[0] for n in range(16)]
        assert drawn == [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]


@given(st.integers(0, 9999))
def test_asked_again_the_chosen_variant_is_the_same(bucket):
    who = person(bucket=bucket)
    both = (variant("A"), variant("B"))
    assert chosen(*both, who=who) == chosen(*both, who=who)
