"""What follows from a due journey's decision, and how it comes to its next step."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from campaigns.domain.documents import WaitFor
from campaigns.domain.states import IllegalMove, JourneyState, MessageState
from campaigns.domain.steps import (
    Begin,
    Cancel,
    Park,
    Pass,
    Send,
    Sleep,
    apply_advance,
    go_on,
)
from tests.unit.domain.people import (
    NOON,
    happened,
    hours,
    journey,
    mail,
    ruleset,
    sending,
    state,
    step,
    version,
)

HOUR = timedelta(hours=1)
RULES = ruleset(version(step(), step(delay=hours(1))))
QUEUED = mail(state=MessageState.QUEUED, token=None)


def after(result, *, of=None, rules=RULES, past=()):
    of = of or journey()
    return apply_advance(state(of, *past), of, result, rules, now=NOON)


def test_who_sends_has_a_mail_and_no_timer():
    done = after(Send(QUEUED))
    assert done.journeys[50] == sending()
    assert done.mails == {60: QUEUED}


def test_who_sleeps_has_another_time():
    done = after(Sleep(NOON + HOUR))
    assert done == state(journey(due_at=NOON + HOUR))


def test_who_is_parked_keeps_the_time_it_was_due_but_no_timer():
    done = after(Park(NOON - HOUR))
    held = journey(state=JourneyState.HELD, due_at=None, held_due_at=NOON - HOUR)
    assert done == state(held)


def test_who_is_passed_over_goes_on_to_the_next_step():
    done = after(Pass({"step": 0, "reason": "no_variant"}))
    assert done == state(journey(step=1, due_at=NOON + HOUR))


def test_or_finishes_after_the_last_for_that_reason():
    cause = {"step": 1, "reason": "no_variant"}
    done = after(Pass(cause), of=journey(step=1))
    assert done == state(
        journey(
            step=1,
            state=JourneyState.FINISHED,
            due_at=None,
            ended_at=NOON,
            cause=cause,
        )
    )


def test_who_is_of_an_archived_rule_is_cancelled_for_that_reason():
    assert after(Cancel()) == state(
        journey(
            state=JourneyState.CANCELLED,
            due_at=None,
            ended_at=NOON,
            cause={"reason": "rule_archived"},
        )
    )


@pytest.mark.parametrize(
    ("state_of_it", "result"),
    [
        (JourneyState.FINISHED, Send(QUEUED)),
        (JourneyState.HELD, Send(QUEUED)),
        (JourneyState.SENDING, Park(NOON)),
        (JourneyState.EXITED, Park(NOON)),
        (JourneyState.EXITED, Pass({})),
        (JourneyState.EXITED, Cancel()),
    ],
    ids=lambda value: getattr(value, "value", type(value).__name__),
)
def test_a_move_that_the_table_forbids_is_refused(state_of_it, result):
    with pytest.raises(IllegalMove):
        after(result, of=journey(state=state_of_it))


SINCE = {"reason": "rule_unreadable", "since": (NOON - HOUR / 2).isoformat()}


def test_a_step_begun_late_counts_its_delay_from_when_it_should_have_begun():
    done = after(Begin(), of=journey(step=1, cause=SINCE))
    assert done == state(journey(step=1, due_at=NOON + HOUR / 2))


def test_and_sees_what_came_since_then():
    waits = ruleset(
        version(step(wait_for=WaitFor(events=("Opened",), timeout=hours(3))))
    )
    opened = happened("Opened", NOON - HOUR / 4, id=201)
    done = after(Begin(), of=journey(cause=SINCE), rules=waits, past=(opened,))
    assert (done.journeys[50].woken_by, done.journeys[50].due_at) == (201, NOON)


def test_a_journey_that_had_no_further_step_finishes_with_its_last_mail():
    cause = {"message": 60, "outcome": "sent", **SINCE}
    done = after(Begin(), of=journey(step=2, cause=cause))
    assert done == state(
        journey(
            step=1,
            state=JourneyState.FINISHED,
            due_at=None,
            ended_at=NOON,
            cause={"message": 60, "outcome": "sent"},
        )
    )


MAILED = {"message": 60, "outcome": "sent"}


def gone_on(of, rules=RULES):
    return go_on(state(of), of, rules, detail=MAILED, now=NOON).journeys[50]


def test_a_step_begins_when_the_one_before_is_settled():
    assert gone_on(sending()) == journey(step=1, due_at=NOON + HOUR)


def test_after_the_last_step_the_journey_is_finished_by_its_last_mail():
    assert gone_on(sending(step=1)) == sending(
        step=1, state=JourneyState.FINISHED, ended_at=NOON, cause=MAILED
    )


@pytest.mark.parametrize("place", [0, 1])
def test_without_a_version_the_next_step_stays_unbegun_and_the_last_mail_is_known(
    place,
):
    """Whether there is a further step can only be read once the version can."""
    since = {"reason": "rule_unreadable", "since": NOON.isoformat()}
    on = gone_on(sending(step=place), ruleset())
    assert on == journey(step=place + 1, cause={**MAILED, **since})


def test_only_an_open_journey_goes_on():
    over = sending(state=JourneyState.CANCELLED)
    for at in (over, replace(over, step=1)):
        with pytest.raises(IllegalMove):
            gone_on(at)
