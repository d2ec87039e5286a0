"""What an answer of the provider, evidence, or a worker's end makes of a mail."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from campaigns.domain.answers import Accepted, Ambiguous, Refusal, Refused
from campaigns.domain.settle import (
    MAX_ATTEMPTS,
    WORKER_ENDED,
    apply_answer,
    apply_settled,
    backoff,
    see_evidence,
    settle,
    take_back,
)
from campaigns.domain.states import AttemptState, JourneyState, MessageState
from tests.unit.domain.people import (
    NOON,
    hours,
    mail,
    ruleset,
    sending,
    state,
    step,
    version,
)

EARLIER = NOON - timedelta(minutes=3)
HANDED = mail(state=MessageState.SENDING, sending_at=EARLIER, reason="half done")
UNKNOWN = mail(state=MessageState.UNKNOWN, reason="no_answer", settled_at=EARLIER)
BUSY = Refused(Refusal.RATE_LIMITED, "slow down", 429, timedelta(seconds=40))
LOCKED_OUT = Refused(Refusal.UNAUTHORISED, "wrong key", 401)
NOT_TRIED = Refused(Refusal.NOT_TRIED, "too late")
NOT_REACHED = Refused(Refusal.NOT_REACHED, "connection refused")
INVALID = Refused(Refusal.INVALID, "no such template", 400)
SILENCE = Ambiguous("timed out")


def test_the_pauses_grow_fourfold_from_five_seconds_to_an_hour():
    waits = [backoff(attempt, None).total_seconds() for attempt in range(1, 8)]
    assert waits == [5, 20, 80, 320, 1280, 3600, 3600]


def test_an_attempt_that_was_given_back_waits_like_the_first():
    assert backoff(0, None) == backoff(1, None)


@pytest.mark.parametrize(
    ("asked_s", "waits_s"), [(-5, 0), (0, 0), (1, 1), (90, 90), (86_400, 3600)]
)
def test_a_provider_that_says_when_is_obeyed_up_to_an_hour(asked_s, waits_s):
    assert backoff(4, timedelta(seconds=asked_s)) == timedelta(seconds=waits_s)


@given(st.integers(0, MAX_ATTEMPTS), st.none() | st.timedeltas())
def test_no_pause_is_negative_or_over_an_hour(attempt, asked):
    assert timedelta(0) <= backoff(attempt, asked) <= timedelta(hours=1)


def test_an_accepted_mail_is_sent_and_keeps_the_providers_name_for_it():
    sent, attempt = settle(HANDED, Accepted("sg-1"), now=NOON)
    assert attempt is AttemptState.ACCEPTED
    assert sent == replace(
        HANDED,
        state=MessageState.SENT,
        provider_message_id="sg-1",
        settled_at=NOON,
        reason="",
    )


def test_an_answer_without_a_name_does_not_wipe_one_that_is_known():
    known = replace(HANDED, provider_message_id="sg-1")
    assert settle(known, Accepted(""), now=NOON)[0].provider_message_id == "sg-1"


def test_a_late_acceptance_settles_what_was_unknown():
    sent, attempt = settle(UNKNOWN, Accepted("sg-1"), now=NOON)
    assert (sent.state, attempt) == (MessageState.SENT, AttemptState.ACCEPTED)
    assert sent.reason == ""


@pytest.mark.parametrize("answer", [BUSY, INVALID, SILENCE], ids=lambda a: a.detail)
def test_no_other_late_answer_moves_what_is_unknown(answer):
    assert settle(UNKNOWN, answer, now=NOON) == (UNKNOWN, AttemptState.AMBIGUOUS)


@pytest.mark.parametrize(
    ("answer", "attempt"),
    [
        (Accepted("sg-2"), AttemptState.ACCEPTED),
        (BUSY, AttemptState.AMBIGUOUS),
        (SILENCE, AttemptState.AMBIGUOUS),
    ],
    ids=["accepted", "busy", "silence"],
)
@pytest.mark.parametrize(
    "over",
    [MessageState.SENT, MessageState.CANCELLED, MessageState.QUEUED],
    ids=str,
)
def test_an_answer_moves_no_mail_that_is_not_under_way(over, answer, attempt):
    settled = replace(HANDED, state=over)
    assert settle(settled, answer, now=NOON) == (settled, attempt)


def test_without_an_answer_nobody_knows_and_the_reason_says_so():
    lost, attempt = settle(HANDED, SILENCE, now=NOON)
    assert attempt is AttemptState.AMBIGUOUS
    assert lost == replace(
        HANDED,
        state=MessageState.UNKNOWN,
        reason="no_answer",
        detail={"problem": "timed out"},
        settled_at=NOON,
    )


@pytest.mark.parametrize(
    "answer", [BUSY, NOT_REACHED, INVALID, SILENCE], ids=lambda a: a.detail
)
def test_evidence_that_it_was_taken_outweighs_every_answer(answer):
    seen = replace(HANDED, evidence_at=EARLIER, provider_message_id="sg-1")
    sent, attempt = settle(seen, answer, now=NOON)
    assert attempt is AttemptState.ACCEPTED
    assert sent == replace(
        seen, state=MessageState.SENT, settled_at=NOON, reason="", not_before=None
    )


def test_a_mail_that_will_never_pass_fails_and_says_why():
    failed, attempt = settle(HANDED, INVALID, now=NOON)
    assert attempt is AttemptState.REFUSED
    assert failed == replace(
        HANDED,
        state=MessageState.FAILED,
        reason="invalid",
        detail={"refusal": "invalid", "status": 400, "problem": "no such template"},
        settled_at=NOON,
    )


def test_a_busy_provider_gets_the_mail_again_and_the_attempt_was_free():
    again, attempt = settle(replace(HANDED, attempt=3), BUSY, now=NOON)
    assert attempt is AttemptState.REFUSED
    assert again == replace(
        HANDED,
        state=MessageState.QUEUED,
        not_before=NOON + timedelta(seconds=40),
        attempt=2,
        token=None,
        detail={"refusal": "rate_limited", "status": 429, "problem": "slow down"},
        sending_at=None,
    )


@pytest.mark.parametrize(
    ("answer", "left"), [(BUSY, 0), (LOCKED_OUT, 0), (NOT_TRIED, 0), (NOT_REACHED, 1)]
)
def test_only_what_the_mail_itself_may_have_caused_uses_up_an_attempt(answer, left):
    assert settle(HANDED, answer, now=NOON)[0].attempt == left
    given_back = replace(HANDED, attempt=0)
    assert settle(given_back, answer, now=NOON)[0].attempt == 0


def test_a_provider_that_cannot_be_reached_is_tried_five_times():
    fourth = settle(replace(HANDED, attempt=4), NOT_REACHED, now=NOON)[0]
    assert (fourth.state, fourth.attempt) == (MessageState.QUEUED, 4)
    assert fourth.not_before == NOON + timedelta(seconds=320)
    fifth, attempt = settle(replace(HANDED, attempt=5), NOT_REACHED, now=NOON)
    assert (fifth.state, fifth.reason) == (MessageState.FAILED, "not_reached")
    assert attempt is AttemptState.REFUSED


@pytest.mark.parametrize(
    "answer", [BUSY, LOCKED_OUT, NOT_TRIED], ids=["busy", "locked-out", "not tried"]
)
def test_a_provider_that_takes_nobodys_mail_is_waited_for_without_end(answer):
    assert settle(replace(HANDED, attempt=9), answer, now=NOON)[0].state == "queued"


RULES = ruleset(version(step(), step(delay=hours(1))))


def test_an_accepted_mail_takes_its_journey_on():
    before = state(sending(), HANDED)
    after, attempt = apply_answer(before, HANDED, Accepted("sg-1"), RULES, now=NOON)
    assert attempt is AttemptState.ACCEPTED
    assert after.mails[60].state is MessageState.SENT
    assert after.journeys[50] == replace(
        sending(), state=JourneyState.WAITING, step=1, due_at=NOON + timedelta(hours=1)
    )


@pytest.mark.parametrize(
    "answer", [SILENCE, INVALID], ids=["nobody-knows", "refused-for-good"]
)
def test_a_journey_waits_for_no_mail_that_will_not_be_tried_again(answer):
    after, _ = apply_answer(state(sending(), HANDED), HANDED, answer, RULES, now=NOON)
    assert after.journeys[50].step == 1


def test_what_becomes_known_later_moves_the_mail_alone():
    on = sending(state=JourneyState.WAITING, step=1, due_at=NOON)
    for still in (on, sending()):
        after, _ = apply_answer(
            state(still, UNKNOWN), UNKNOWN, Accepted("sg-1"), RULES, now=NOON
        )
        assert after.mails[60].state is MessageState.SENT
        assert after.journeys[50] == still


def test_a_mail_given_up_before_it_was_handed_over_takes_its_journey_on():
    claimed = mail(attempt=5)
    given_up = take_back(claimed, now=NOON)
    after = apply_settled(state(sending()), claimed, given_up, RULES, now=NOON)
    assert after.mails[60] == given_up
    assert after.journeys[50].step == 1


def test_a_mail_that_comes_back_leaves_its_journey_where_it_is():
    after, attempt = apply_answer(
        state(sending(), HANDED), HANDED, BUSY, RULES, now=NOON
    )
    assert attempt is AttemptState.REFUSED
    assert after.mails[60].state is MessageState.QUEUED
    assert after.journeys[50] == sending()


@pytest.mark.parametrize(
    "journeys",
    [(), (sending(state=JourneyState.EXITED),)],
    ids=["gone", "exited"],
)
def test_a_mail_that_comes_back_to_a_journey_that_is_over_is_cancelled(journeys):
    after, _ = apply_answer(state(*journeys, HANDED), HANDED, BUSY, RULES, now=NOON)
    cancelled = after.mails[60]
    assert (cancelled.state, cancelled.reason) == ("cancelled", "journey_over")
    assert cancelled.settled_at == NOON


def test_a_mail_sent_a_second_time_on_purpose_needs_no_open_journey():
    again = replace(HANDED, redriven_at=EARLIER)
    after, _ = apply_answer(state(again), again, BUSY, RULES, now=NOON)
    assert after.mails[60].state is MessageState.QUEUED


def test_a_mail_of_no_journey_comes_back_too():
    alone = replace(HANDED, journey=None, rule=None, version=None)
    after, _ = apply_answer(state(alone), alone, BUSY, RULES, now=NOON)
    assert after.mails[60].state is MessageState.QUEUED


def test_a_worker_that_ended_during_the_call_leaves_a_mail_that_nobody_knows_of():
    lost = take_back(HANDED, now=NOON)
    assert (lost.state, lost.reason) == (MessageState.UNKNOWN, "no_answer")
    assert (lost.detail, lost.settled_at) == ({"problem": WORKER_ENDED}, NOON)


def test_a_worker_that_ended_before_the_call_gives_the_mail_back():
    assert take_back(mail(attempt=4), now=NOON) == mail(
        attempt=4, state=MessageState.QUEUED, not_before=NOON, token=None
    )


def test_a_mail_claimed_five_times_in_vain_is_given_up():
    assert take_back(mail(attempt=5), now=NOON) == mail(
        attempt=5,
        state=MessageState.FAILED,
        reason="too_many_attempts",
        detail={"attempts": 5},
        settled_at=NOON,
    )


def test_evidence_settles_what_was_unknown():
    assert see_evidence(UNKNOWN, now=NOON) == replace(
        UNKNOWN,
        state=MessageState.SENT,
        reason="",
        settled_at=NOON,
        evidence_at=NOON,
    )


def test_evidence_is_noted_but_does_not_settle_a_call_under_way():
    assert see_evidence(HANDED, now=NOON) == replace(HANDED, evidence_at=NOON)


def test_the_first_evidence_keeps_its_time():
    seen = mail(state=MessageState.SENT, evidence_at=EARLIER, token=UUID(int=2))
    assert see_evidence(seen, now=NOON) == seen
