"""What follows from the gate's verdict: for the mail, and for its journey."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from campaigns.domain.gate import Go, Hold, Skip, Wait, after_mail, apply_verdict
from campaigns.domain.states import JourneyState, MessageState, SkipReason
from tests.unit.domain.people import (
    NOON,
    hours,
    journey,
    mail,
    ruleset,
    sending,
    state,
    step,
    variant,
    version,
)

ADA = state(sending(), mail())
RULES = ruleset(
    version(step(variant(), variant("F", template_version=6)), step(delay=hours(1)))
)


class TestWhatFollows:
    def after(self, said, *, of=None, about=ADA, rules=RULES):
        return apply_verdict(about, of or mail(), said, rules, now=NOON)

    def test_who_may_go_is_committed_as_sending_before_the_call(self):
        after = self.after(Go())
        assert after.mails[60] == mail(state=MessageState.SENDING, sending_at=NOON)
        assert after.journeys[50] == sending()

    def test_who_waits_is_queued_and_the_claim_was_free(self):
        until = NOON + timedelta(hours=2)
        after = self.after(Wait(until, SkipReason.WINDOW), of=mail(attempt=3))
        assert after.mails[60] == mail(
            state=MessageState.QUEUED, not_before=until, attempt=2, token=None
        )
        assert after.journeys[50] == sending()

    @pytest.mark.parametrize("attempt", [0, 1])
    def test_a_count_of_claims_never_goes_below_zero(self, attempt):
        wait = Wait(NOON, SkipReason.WINDOW)
        assert self.after(wait, of=mail(attempt=attempt)).mails[60].attempt == 0

    def test_who_waits_for_the_fallback_comes_back_as_that(self):
        again = self.after(Wait(NOON, SkipReason.TEMPLATE, variant=1)).mails[60]
        assert (again.variant, again.template_version) == (1, 6)
        assert (again.state, again.token) == (MessageState.QUEUED, None)

    def test_what_is_skipped_keeps_its_reason_and_the_journey_goes_on(self):
        after = self.after(Skip(SkipReason.UNSUBSCRIBED, {"topic": 3}))
        assert after.mails[60] == mail(
            state=MessageState.SKIPPED,
            reason="unsubscribed",
            detail={"topic": 3},
            settled_at=NOON,
        )
        assert after.journeys[50] == journey(step=1, due_at=NOON + timedelta(hours=1))

    def test_an_exit_found_at_the_gate_ends_the_journey_for_that_cause(self):
        cause = {"reason": "exit_event", "event": 201}
        after = self.after(Skip(SkipReason.EXITED, cause))
        assert after.mails[60].state is MessageState.SKIPPED
        assert after.journeys[50] == sending(
            state=JourneyState.EXITED, ended_at=NOON, cause=cause
        )

    def test_an_exit_found_for_a_journey_that_is_over_moves_only_the_mail(self):
        over = sending(state=JourneyState.FINISHED)
        for about in (state(over, mail()), state(mail())):
            after = self.after(Skip(SkipReason.EXITED), about=about)
            assert after.mails[60].state is MessageState.SKIPPED
            assert after.journeys == about.journeys

    def test_what_is_held_says_why_and_the_journey_waits(self):
        after = self.after(Hold(SkipReason.TEMPLATE, {"problem": "no name"}))
        assert after.mails[60] == mail(
            state=MessageState.HELD,
            reason="template_error",
            detail={"problem": "no name"},
            token=None,
        )
        assert after.journeys[50] == sending()


SKIPPED = mail(state=MessageState.SKIPPED, reason="unsubscribed")


def test_a_journey_that_ends_with_its_mail_names_it_and_what_became_of_it():
    after = after_mail(state(sending(), SKIPPED), SKIPPED, ruleset(version()), now=NOON)
    assert after.journeys[50] == sending(
        state=JourneyState.FINISHED,
        ended_at=NOON,
        cause={"message": 60, "outcome": "skipped"},
    )


@pytest.mark.parametrize(
    ("of", "waits"),
    [
        (replace(SKIPPED, journey=None), sending()),
        (replace(SKIPPED, journey=51), sending()),
        (replace(SKIPPED, redriven_at=NOON), sending()),
        (replace(SKIPPED, revision=1), sending()),
        (replace(SKIPPED, step=1), sending()),
        (SKIPPED, sending(state=JourneyState.EXITED)),
    ],
    ids=["of-none", "of-another", "second-time", "revision", "step", "over"],
)
def test_a_mail_moves_no_journey_that_does_not_wait_for_it(of, waits):
    before = state(waits, of)
    assert after_mail(before, of, RULES, now=NOON) == before
