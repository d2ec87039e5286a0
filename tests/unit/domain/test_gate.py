"""The last look before a mail is handed over: what stops, holds or delays it."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from campaigns.domain.documents import Exit, Quiet, Trigger, Window
from campaigns.domain.gate import (
    GateFacts,
    Go,
    Hold,
    Skip,
    Wait,
    gate,
)
from campaigns.domain.ruleset import Policy
from campaigns.domain.states import (
    JourneyState,
    Kind,
    RuleStatus,
    SkipReason,
    SuppressionReason,
)
from campaigns.domain.steps import Trigger as Started
from tests.unit.domain.people import (
    NOON,
    bought_once_within,
    happened,
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

MINUTE = timedelta(minutes=1)
CART = Started("Carted", {"total": 50}, {"ip": "1.2.3.4"})
FACTS = GateFacts(trigger=CART)
ADA = state(sending(), mail())
RECEIPT = mail(kind=Kind.TRANSACTIONAL)
TEST_SEND = mail(journey=None, rule=None, version=None, kind=Kind.TRANSACTIONAL)


def facts(**more):
    return GateFacts(trigger=CART, **more)


def verdict(rule=None, *, of=None, known=FACTS, about=ADA, rules=None, now=NOON):
    """The gate's verdict; what is not named speaks for the mail."""
    rules = rules or ruleset(rule or version())
    return gate(of or mail(), about, known, rules, now=now)


def test_a_mail_that_nothing_speaks_against_goes():
    assert verdict() == Go()


def test_a_mail_that_was_reported_as_taken_does_not_go_again():
    seen = NOON - MINUTE
    assert verdict(of=mail(evidence_at=seen)) == Skip(
        SkipReason.DELIVERED, {"evidence_at": "2026-03-02T11:59:00+00:00"}
    )


class TestTheRule:
    def test_a_paused_rule_holds_its_mails(self):
        rules = ruleset(version(), status=RuleStatus.PAUSED)
        assert verdict(rules=rules) == Hold(SkipReason.RULE_PAUSED)

    def test_an_archived_rule_sends_nothing_more(self):
        rules = ruleset(version(), status=RuleStatus.ARCHIVED)
        assert verdict(rules=rules) == Skip(SkipReason.RULE_ARCHIVED)

    def test_a_rule_that_is_gone_counts_as_archived(self):
        rules = ruleset(version(rule=8))
        assert verdict(rules=rules) == Skip(SkipReason.RULE_ARCHIVED)

    def test_a_version_that_cannot_be_read_holds_its_mails(self):
        held = Hold(SkipReason.RULE_UNREADABLE, {"version": 10})
        assert verdict(rules=ruleset()) == held

    def test_what_stops_a_mail_stops_it_though_its_version_cannot_be_read(self):
        over = state(sending(state=JourneyState.EXITED))
        assert verdict(about=over, rules=ruleset()) == Skip(SkipReason.EXITED)


class TestTheJourney:
    @pytest.mark.parametrize(
        "about",
        [state(), state(sending(state=JourneyState.CANCELLED))],
        ids=["gone", "cancelled"],
    )
    def test_a_journey_that_is_over_sends_nothing(self, about):
        assert verdict(about=about) == Skip(SkipReason.EXITED)

    @pytest.mark.parametrize(
        "about",
        [state(), state(sending(state=JourneyState.FINISHED))],
        ids=["not loaded", "loaded"],
    )
    def test_a_mail_sent_a_second_time_on_purpose_needs_no_open_journey(self, about):
        known = facts(former=sending(state=JourneyState.FINISHED))
        again = mail(redriven_at=NOON)
        assert verdict(of=again, about=about, known=known) == Go()

    @pytest.mark.parametrize("over", ["exited", "cancelled", "merged", None])
    def test_but_not_after_its_journey_was_stopped_or_is_gone(self, over):
        former = sending(state=JourneyState(over)) if over else None
        again, known = mail(redriven_at=NOON), facts(former=former)
        assert verdict(of=again, about=state(), known=known) == Skip(SkipReason.EXITED)

    def test_nor_after_an_exit_that_came_when_it_had_ended(self):
        leaves = version(exit=Exit(events=("Bought",)))
        about = state(None, happened("Bought", NOON + MINUTE, id=201))
        again = mail(redriven_at=NOON)
        known = facts(former=sending(state=JourneyState.FINISHED))
        found = verdict(
            leaves, of=again, about=about, known=known, now=NOON + 2 * MINUTE
        )
        assert found.reason is SkipReason.EXITED

    def test_an_exit_that_nobody_saw_is_found_now_and_named(self):
        leaves = version(exit=Exit(events=("Bought",)))
        about = state(sending(), happened("Bought", NOON + MINUTE, id=201))
        assert verdict(leaves, about=about, now=NOON + 2 * MINUTE) == Skip(
            SkipReason.EXITED,
            {
                "reason": "exit_event",
                "event": 201,
                "name": "Bought",
                "occurred_at": "2026-03-02T12:01:00+00:00",
            },
        )

    @pytest.mark.parametrize(
        ("cart", "goes"), [("c1", False), ("c2", True)], ids=["same", "other"]
    )
    def test_only_the_purchase_of_the_same_cart_is_an_exit(self, cart, goes):
        leaves = version(exit=Exit(events=("Bought",), key="cart"))
        about = state(sending(exit_value="c1"), happened("Bought", cart=cart))
        assert (verdict(leaves, about=about) == Go()) is goes

    def test_an_exit_before_the_journey_began_or_after_now_is_none(self):
        leaves = version(exit=Exit(events=("Bought",)))
        early = happened("Bought", NOON - MINUTE)
        late = happened("Bought", NOON + MINUTE)
        assert verdict(leaves, about=state(sending(), early, late)) == Go()


class TestTheAddress:
    @pytest.mark.parametrize("of", [mail(), TEST_SEND], ids=["of-a-rule", "test"])
    @pytest.mark.parametrize("email", [None, ""], ids=["none", "empty"])
    def test_nobody_is_mailed_without_an_address(self, of, email):
        about = state(sending(), who=person(email=email))
        assert verdict(of=of, about=about) == Skip(SkipReason.NO_ADDRESS)

    @pytest.mark.parametrize("of", [mail(), TEST_SEND], ids=["of-a-rule", "test"])
    def test_an_address_said_only_in_public_gets_no_mail(self, of):
        about = state(sending(), who=person(email_trusted=False))
        assert verdict(of=of, about=about) == Skip(
            SkipReason.ADDRESS_UNTRUSTED, {"address": "ada@example.com"}
        )

    def test_save_from_a_rule_that_is_marked_for_public_sources(self):
        about = state(sending(), who=person(email_trusted=False))
        public = version(trigger=Trigger(events=("Carted",), public=True))
        assert verdict(public, about=about) == Go()
        assert verdict(public) == Go()

    @pytest.mark.parametrize(
        ("kind", "reason"),
        list(product(Kind, SuppressionReason)),
        ids=lambda value: str(value),
    )
    def test_every_suppression_stops_marketing_and_all_but_an_unsubscribe_receipts(
        self, kind, reason
    ):
        known = facts(suppressed=frozenset({reason}))
        passes = kind is Kind.TRANSACTIONAL and reason is SuppressionReason.UNSUBSCRIBED
        stops = Skip(SkipReason.SUPPRESSED, {"because": [str(reason)]})
        for of in (mail(kind=kind), replace(TEST_SEND, kind=kind)):
            assert verdict(of=of, known=known) == (Go() if passes else stops)

    def test_every_reason_that_stops_is_named_in_order(self):
        all_three = frozenset(
            {
                SuppressionReason.UNSUBSCRIBED,
                SuppressionReason.MANUAL,
                SuppressionReason.COMPLAINT,
            }
        )
        known = facts(suppressed=all_three)
        assert verdict(known=known).detail == {
            "because": ["complaint", "manual", "unsubscribed"]
        }
        assert verdict(of=RECEIPT, known=known).detail == {
            "because": ["complaint", "manual"]
        }


class TestThePermission:
    def test_a_topic_that_the_customer_left_is_not_mailed(self):
        left = facts(subscribed=False)
        assert verdict(known=left) == Skip(SkipReason.UNSUBSCRIBED, {"topic": 3})

    @pytest.mark.parametrize("subscribed", [None, True], ids=str)
    def test_a_topic_to_be_opted_in_to_needs_a_proof_whatever_was_said(
        self, subscribed
    ):
        opt_in = version(topic_opt_in=True)
        known = facts(subscribed=subscribed)
        assert verdict(opt_in, known=known) == Skip(SkipReason.NO_CONSENT, {"topic": 3})
        assert verdict(opt_in, known=replace(known, consented=True)) == Go()

    def test_a_proof_does_not_outweigh_a_later_refusal(self):
        known = facts(subscribed=False, consented=True)
        said = verdict(version(topic_opt_in=True), known=known)
        assert said == Skip(SkipReason.UNSUBSCRIBED, {"topic": 3})

    def test_a_receipt_asks_for_no_permission(self):
        known = facts(subscribed=False)
        assert verdict(version(topic_opt_in=True), of=RECEIPT, known=known) == Go()


class TestTheCap:
    RULES = ruleset(version(), policy=Policy(cap_messages=3, cap_days=14))

    def test_below_the_cap_a_mail_goes(self):
        assert verdict(rules=self.RULES, known=facts(capped=2)) == Go()

    @pytest.mark.parametrize("sent", [3, 4])
    def test_at_the_cap_and_beyond_it_is_skipped_with_the_figures(self, sent):
        said = verdict(rules=self.RULES, known=facts(capped=sent))
        assert said == Skip(
            SkipReason.FREQUENCY_CAP, {"sent": sent, "cap": 3, "days": 14}
        )

    def test_receipts_are_not_capped(self):
        assert verdict(rules=self.RULES, of=RECEIPT, known=facts(capped=9)) == Go()

    def test_without_a_cap_there_is_none(self):
        assert verdict(known=facts(capped=9)) == Go()


class TestTheTime:
    def test_a_mail_may_go_until_its_last_moment_and_not_later(self):
        last = mail(not_after=NOON)
        assert verdict(of=last) == Go()
        late = NOON + timedelta(microseconds=1)
        assert verdict(of=last, now=late) == Skip(
            SkipReason.EXPIRED, {"not_after": "2026-03-02T12:00:00+00:00"}
        )

    def test_outside_its_window_it_waits_for_the_next_opening(self):
        mornings = Window(weekdays=(0, 1), start="09:00", end="12:00")
        opens = NOON + timedelta(hours=21)
        said = verdict(version(step(window=mornings)))
        assert said == Wait(opens, SkipReason.WINDOW)
        assert verdict(version(step(window=mornings)), now=NOON - MINUTE) == Go()

    def test_in_quiet_hours_it_waits_for_their_end(self):
        siesta = Quiet(start="12:00", end="14:00")
        said = verdict(version(step(quiet=siesta)))
        assert said == Wait(NOON + timedelta(hours=2), SkipReason.WINDOW)

    @pytest.mark.parametrize(
        ("own", "company", "goes"),
        [
            ("America/New_York", "UTC", False),
            ("", "America/New_York", False),
            ("Nowhere", "UTC", True),
        ],
    )
    def test_windows_are_in_the_customers_zone_or_else_the_companys(
        self, own, company, goes
    ):
        office = Window(weekdays=(0,), start="09:00", end="17:00")  # 07:00 in New York
        rules = ruleset(version(step(window=office)), policy=Policy(time_zone=company))
        about = state(sending(), who=person(time_zone=own))
        said = verdict(rules=rules, about=about)
        opens = Wait(NOON + timedelta(hours=2), SkipReason.WINDOW)
        assert said == (Go() if goes else opens)

    def test_each_step_has_a_window_of_its_own(self):
        siesta = Quiet(start="12:00", end="14:00")
        second = mail(step=1)
        about = state(sending(step=1), second)
        steps = (step(), step(quiet=siesta))
        assert isinstance(verdict(version(*steps), of=second, about=about), Wait)
        assert verdict(version(*reversed(steps)), of=second, about=about) == Go()


GOLD = where("customer.plan", "eq", "gold")


class TestTheConditions:
    def test_a_rule_whose_condition_holds_no_more_sends_nothing(self):
        said = verdict(version(condition=GOLD))
        assert (type(said), said.reason) == (Skip, SkipReason.CONDITION)
        kept = said.detail["condition"]
        assert kept["holds"] is False
        assert kept["leaves"][0]["field"] == "customer.plan"
        gold = state(sending(), who=person(traits={"plan": "gold"}))
        assert verdict(version(condition=GOLD), about=gold) == Go()

    def test_a_variant_whose_condition_holds_no_more_is_not_sent(self):
        said = verdict(version(step(variant(condition=GOLD))))
        assert (type(said), said.reason) == (Skip, SkipReason.CONDITION)
        assert said.detail["condition"]["leaves"][0]["field"] == "customer.plan"
        gold = state(sending(), who=person(traits={"plan": "gold"}))
        assert verdict(version(step(variant(condition=GOLD))), about=gold) == Go()

    def test_its_fallback_is_sent_instead(self):
        steps = step(variant(condition=GOLD), variant("B"), variant("F", fallback=True))
        assert verdict(version(steps)) == Wait(NOON, SkipReason.CONDITION, variant=2)

    def test_only_the_chosen_variant_is_asked(self):
        steps = step(variant(condition=GOLD), variant("B"))
        assert verdict(version(steps), of=mail(variant=1)) == Go()

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
    def test_a_condition_sees_the_event_the_customer_and_the_journey(
        self, field, value
    ):
        about = state(sending(woken_by=300))
        holds = version(condition=where(field, "eq", value))
        assert verdict(holds, about=about) == Go()
        own = version(step(variant(condition=where(field, "eq", value))))
        assert verdict(own, about=about) == Go()

    @pytest.mark.parametrize(
        ("ago", "goes"), [(timedelta(minutes=59), True), (timedelta(hours=1), False)]
    )
    def test_and_the_past_up_to_now(self, ago, goes):
        recent = bought_once_within(1, "hours")
        about = state(sending(), happened("Bought", NOON - ago))
        for rule in (
            version(condition=recent),
            version(step(variant(condition=recent))),
        ):
            assert (verdict(rule, about=about) == Go()) is goes

    def test_a_mail_sent_again_is_woken_by_nothing(self):
        woken = version(condition=where("journey.woken_by", "eq", 300))
        known = facts(former=sending(state=JourneyState.FINISHED))
        said = verdict(woken, of=mail(redriven_at=NOON), about=state(), known=known)
        assert said.reason is SkipReason.CONDITION


class TestTheProvider:
    def test_a_mail_that_no_provider_can_take_waits_a_minute(self):
        said = verdict(known=facts(connected=False))
        assert said == Wait(NOON + MINUTE, SkipReason.NO_CONNECTION)


class TestTheContent:
    def test_a_mail_whose_facts_moved_is_rendered_again_at_once(self):
        said = verdict(known=facts(context_moved=True, problem="no name"))
        assert said == Wait(NOON, SkipReason.CONTEXT_MOVED)

    def test_a_mail_that_cannot_be_rendered_is_held_with_the_problem(self):
        said = verdict(known=facts(problem="no name"))
        assert said == Hold(SkipReason.TEMPLATE, {"problem": "no name"})

    def test_or_its_fallback_is_sent(self):
        rule = version(step(variant(), variant("F", fallback=True)))
        said = verdict(rule, known=facts(problem="no name"))
        assert said == Wait(NOON, SkipReason.TEMPLATE, variant=1)

    def test_a_fallback_that_fails_too_is_held(self):
        rule = version(step(variant("F", fallback=True), variant("G", fallback=True)))
        said = verdict(rule, known=facts(problem="no name"))
        assert said == Hold(SkipReason.TEMPLATE, {"problem": "no name"})

    def test_a_mail_that_the_provider_could_not_take_is_held(self):
        said = verdict(known=facts(payload_problem="a header of two lines"))
        assert said == Hold(SkipReason.PAYLOAD, {"problem": "a header of two lines"})


REFUSALS = {
    SkipReason.UNSUBSCRIBED: {"subscribed": False},
    SkipReason.FREQUENCY_CAP: {"capped": 9},
    SkipReason.NO_CONNECTION: {"connected": False},
    SkipReason.CONTEXT_MOVED: {"context_moved": True},
    SkipReason.TEMPLATE: {"problem": "no name"},
    SkipReason.PAYLOAD: {"payload_problem": "too long"},
    SkipReason.SUPPRESSED: {"suppressed": frozenset({SuppressionReason.MANUAL})},
}


@given(st.sets(st.sampled_from(sorted(REFUSALS)), min_size=1))
def test_of_several_reasons_the_first_in_the_order_of_the_gate_is_told(reasons):
    known = {name: value for r in reasons for name, value in REFUSALS[r].items()}
    rules = ruleset(version(), policy=Policy(cap_messages=3))
    said = verdict(rules=rules, known=facts(**known))
    assert said.reason is min(reasons, key=[*SkipReason].index)
