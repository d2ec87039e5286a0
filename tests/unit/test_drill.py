"""The drill's schedule and its judgement, which are pure."""

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.machine import ROOT
from campaigns.reports.sums import CHECKS
from drill.inbox import Handover, Log
from drill.plan import Sabotage, full, sabotaged, short
from drill.report import BEGINS, ENDS, LONG_S, figures, publish
from drill.run import Outcome
from drill.schedule import (
    LEAST_GAP_S,
    LONGEST_STOP_S,
    SHORTEST_STOP_S,
    WEIGHTS,
    Act,
    Part,
    Strike,
    schedule,
)
from drill.site import cast_anew
from drill.story import CYCLE, Kind, Story, kind_of
from drill.strikes import INSIST_S, Strikes, Struck
from drill.verdict import Books, Breach, Seen, judge, restarts_in
from tests.e2e.load import BATCH, Ledger

T0 = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GRACE_S = 10.0
SEEDS = st.integers(0, 2**32)
TOTAL = 6 * CYCLE


# --- the schedule -----------------------------------------------------------


@given(seed=SEEDS, seconds=st.floats(0, 600), every_s=st.floats(0.5, 10))
def test_a_schedule_is_a_function_of_its_seed(seed, seconds, every_s):
    made = schedule(seed, seconds=seconds, every_s=every_s)
    assert made == schedule(seed, seconds=seconds, every_s=every_s)


@given(seed=SEEDS, seconds=st.floats(0, 600))
def test_strikes_come_in_order_within_the_time_and_apart(seed, seconds):
    strikes = schedule(seed, seconds=seconds, every_s=2.0)
    times = [strike.at_s for strike in strikes]
    assert all(0 < at_s < seconds + 0.001 for at_s in times)
    gaps = [b - a for a, b in pairwise(times)]
    assert all(gap >= LEAST_GAP_S - 0.002 for gap in gaps)
    assert all(0 <= strike.pick <= 1 for strike in strikes)


@given(seed=SEEDS, shorter=st.floats(1, 300))
def test_a_longer_drill_begins_like_a_shorter_one(seed, shorter):
    first = schedule(seed, seconds=shorter, every_s=2.0)
    assert schedule(seed, seconds=600, every_s=2.0)[: len(first)] == first


@given(seed=SEEDS)
def test_only_stops_last(seed):
    for strike in schedule(seed, seconds=200, every_s=1.0):
        if strike.act is Act.STOP:
            assert SHORTEST_STOP_S <= strike.for_s <= LONGEST_STOP_S
        else:
            assert strike.for_s == 0


def test_every_kind_of_strike_comes():
    strikes = schedule(1, seconds=7200, every_s=2.2)
    assert {(s.act, s.part) for s in strikes} == WEIGHTS.keys()


def test_two_hours_hold_two_thousand_kills():
    strikes = full(1, seconds=7200).strikes
    assert sum(strike.act is Act.KILL for strike in strikes) >= 2000


def test_strikes_that_come_too_thick_are_refused():
    with pytest.raises(ValueError, match="every_s"):
        schedule(1, seconds=10, every_s=LEAST_GAP_S)


# --- who is who -------------------------------------------------------------


def test_at_first_the_order_tells_who_is_who():
    cast = cast_anew({}, [11, 12, 13, 14], 2)
    assert cast == {
        11: Part.WORKER,
        12: Part.WORKER,
        13: Part.MONITOR,
        14: Part.PUSHER,
    }


@given(gone=st.sampled_from([11, 12, 13, 14]))
def test_who_is_new_took_the_place_of_who_is_gone(gone):
    known = cast_anew({}, [11, 12, 13, 14], 2)
    pids = [pid for pid in (11, 12, 13, 14) if pid != gone]
    assert cast_anew(known, [*pids, 15], 2) == {15: known[gone]}


def test_while_some_are_missing_nobody_is_cast():
    assert cast_anew({}, [11, 12, 13], 2) == {}


# --- the story --------------------------------------------------------------


def test_what_the_story_wants_its_events_say():
    story = Story("s", TOTAL, 60)
    events = [story.event(n, T0) for n in range(TOTAL)]
    assert len({event["messageId"] for event in events}) == TOTAL
    names = Counter(event["event"] for event in events)
    kinds = Counter(wanted.kind for wanted in story.wanted())
    assert kinds[Kind.WELCOME] == names["Signed Up"]
    assert kinds[Kind.FOLLOW_UP] == names["Product Viewed"]
    assert kinds[Kind.REMINDER] == names["Cart Updated"]
    assert kinds[Kind.RECEIPT] == names["Order Completed"] > 0


def test_an_order_is_of_the_cart_that_it_stops():
    story = Story("s", TOTAL, 60)
    stopped = [w for w in story.wanted() if w.stopped_by is not None]
    assert stopped
    for wanted in stopped:
        cart, order = (story.event(n, T0) for n in (wanted.number, wanted.stopped_by))
        assert cart["properties"]["cart_id"] == order["properties"]["cart_id"]
        assert cart["userId"] == order["userId"]


def test_those_who_leave_are_those_whose_follow_up_is_stopped():
    story = Story("s", TOTAL, 60)
    leaving = {w.address for w in story.wanted() if w.leaves}
    everybody = {w.address for w in story.wanted()}
    assert leaving
    assert {a for a in everybody if story.leaves(a)} == leaving
    assert not Story("other", TOTAL).leaves(next(iter(leaving)))


def test_a_mail_of_no_rule_is_not_guessed_at():
    assert kind_of("Your receipt for order 7") is Kind.RECEIPT
    with pytest.raises(ValueError, match="no rule"):
        kind_of("Something else")


# --- the judgement ----------------------------------------------------------


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def perfect():
    """A story, and the ledger, log and books of a run in which all went well."""
    story = Story("s", TOTAL, 360)
    batches = range(TOTAL // BATCH)
    ledger = Ledger(
        acknowledged={story.message_id(n) for n in range(TOTAL)},
        posted_at={b: at(b) for b in batches},
        acknowledged_at={b: at(b + 0.5) for b in batches},
    )
    taken = [
        Handover(
            address=w.address,
            kind=w.kind,
            message=f"{w.address} {w.kind}",
            attempt="1",
            at=at(w.number // BATCH + w.delay_s + 1.5),
            unsubscribe="",
        )
        for w in story.wanted()
        if not w.leaves and w.stopped_by is None
    ]
    left = {w.address: at(w.number // BATCH + 3) for w in story.wanted() if w.leaves}
    books = Books(
        stored=dict.fromkeys(ledger.acknowledged, 1),
        states={(t.address, t.kind): ["sent"] for t in taken},
    )
    return story, ledger, Seen(handovers=taken, left=left), books


def broken(story, ledger, seen, books, **how):
    verdict = judge(story, ledger, seen, books, grace_s=GRACE_S, **how)
    return set(verdict.breaches)


def test_a_run_in_which_all_went_well_is_green():
    story, ledger, seen, books = perfect()
    verdict = judge(story, ledger, seen, books, grace_s=GRACE_S)
    assert verdict.breaches == {}
    assert verdict.handed_over == len(seen.handovers)
    assert verdict.stops > 0
    assert (verdict.lateness.p50, verdict.lateness.longest) == (1.0, 1.5)


def test_an_acknowledged_event_that_is_not_there_is_lost():
    story, ledger, seen, books = perfect()
    books = replace(books, stored={**books.stored, "s-7": 0})
    assert broken(story, ledger, seen, books) == {Breach.EVENT_LOST}


def test_an_event_that_is_there_twice_is_found():
    story, ledger, seen, books = perfect()
    books = replace(books, stored={**books.stored, "s-7": 2})
    assert broken(story, ledger, seen, books) == {Breach.EVENT_TWICE}


def test_a_client_that_was_refused_is_found():
    story, ledger, seen, books = perfect()
    ledger.refused.append("batch 3: 400")
    assert broken(story, ledger, seen, books) == {Breach.EVENT_REFUSED}


def test_a_mail_that_nobody_took_is_lost_unless_it_is_unknown():
    story, ledger, seen, books = perfect()
    gone = seen.handovers[0]
    key = (gone.address, gone.kind)
    seen = replace(seen, handovers=seen.handovers[1:])
    failed = replace(books, states={**books.states, key: ["failed"]})
    assert broken(story, ledger, seen, failed) == {Breach.MAIL_LOST}
    unknown = replace(books, states={**books.states, key: ["unknown"]})
    assert broken(story, ledger, seen, unknown) == set()


def test_a_mail_of_an_event_that_was_never_acknowledged_may_be_missing():
    story, ledger, seen, books = perfect()
    last = max(ledger.acknowledged_at)
    numbers = range(last * BATCH, (last + 1) * BATCH)
    del ledger.acknowledged_at[last]
    ledger.acknowledged.difference_update(story.message_id(n) for n in numbers)
    gone = {story.address(n) for n in numbers}
    kept = [t for t in seen.handovers if t.address not in gone]
    states = {k: v for k, v in books.states.items() if k[0] not in gone}
    seen, books = replace(seen, handovers=kept), replace(books, states=states)
    assert broken(story, ledger, seen, books) == set()
    ledger.acknowledged_at[last] = T0
    assert broken(story, ledger, seen, books) == {Breach.MAIL_LOST}


def test_a_mail_that_was_taken_twice_is_found_whatever_the_rows_say():
    story, ledger, seen, books = perfect()
    again = replace(seen.handovers[0], attempt="2", message="another")
    seen = replace(seen, handovers=[*seen.handovers, again])
    assert broken(story, ledger, seen, books) == {Breach.MAIL_TWICE}


@pytest.mark.parametrize(
    ("after_s", "found"),
    [(GRACE_S - 1, set()), (GRACE_S + 1, {Breach.MAIL_AFTER_STOP})],
    ids=["within the grace", "beyond it"],
)
@pytest.mark.parametrize("how", ["unsubscribed", "bought"])
def test_a_mail_after_its_stop_is_found(how, after_s, found):
    story, ledger, seen, books = perfect()
    is_leaving = how == "unsubscribed"
    wanted = next(
        w
        for w in story.wanted()
        if (w.leaves if is_leaving else w.stopped_by is not None)
    )
    stopped = (
        seen.left[wanted.address]
        if is_leaving
        else ledger.acknowledged_at[wanted.stopped_by // BATCH]
    )
    late = Handover(
        address=wanted.address,
        kind=wanted.kind,
        message="m",
        attempt="1",
        at=stopped + timedelta(seconds=after_s),
        unsubscribe="",
    )
    seen = replace(seen, handovers=[*seen.handovers, late])
    assert broken(story, ledger, seen, books) == found


def test_what_counts_as_sent_must_have_been_taken():
    story, ledger, seen, books = perfect()
    key = ("s-0@example.com", Kind.FOLLOW_UP)
    books = replace(books, states={**books.states, key: ["sent"]})
    assert broken(story, ledger, seen, books) == {Breach.MAIL_INVENTED}


def test_what_was_taken_must_not_stay_unknown_if_the_provider_tells():
    story, ledger, seen, books = perfect()
    taken = seen.handovers[0]
    states = {**books.states, (taken.address, taken.kind): ["unknown"]}
    books = replace(books, states=states)
    assert broken(story, ledger, seen, books) == {Breach.UNKNOWN_LEFT}
    assert broken(story, ledger, seen, books, is_silent=True) == set()


def test_the_products_own_sums_count_too():
    story, ledger, seen, books = perfect()
    books = replace(books, differences=["timers: 1 is not 0"])
    assert broken(story, ledger, seen, books) == {Breach.SUMS}


def test_work_that_was_left_undone_is_told():
    story, ledger, seen, books = perfect()
    books = replace(books, unfinished=["mail 7 is queued"])
    assert broken(story, ledger, seen, books) == {Breach.UNFINISHED}


def test_mails_of_another_story_are_not_ours():
    story, ledger, seen, books = perfect()
    other = replace(seen.handovers[0], address="t-0@example.com")
    seen = replace(seen, handovers=[*seen.handovers, other, other])
    assert broken(story, ledger, seen, books) == set()


def test_restarts_are_counted_from_what_the_supervisors_say():
    found = restarts_in(
        "cluster mail ended (-9); restarting\nthe database ended; starting it again\n",
        "cluster mail did no work for 12 s; replacing it\n",
    )
    assert +found == {
        "clusters that had ended": 1,
        "clusters without work": 1,
        "database": 1,
    }


# --- the simulator's log ----------------------------------------------------

MAIL = (
    '{"mail": {"to": "s-0@example.com", "subject": "Welcome, Ada", "headers":'
    ' {"List-Unsubscribe": "<http://localhost/u/x>"}, "custom_args": {"et_message":'
    ' "7", "et_token": "t"}, "received_at": "2026-05-04T12:00:00+00:00"}}\n'
)


def test_a_line_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "simulator.jsonl"
    log = Log(path)
    assert log.read() == []
    path.write_text(MAIL[:40])
    assert log.read() == []
    with path.open("a") as file:
        file.write(MAIL[40:] + '{"event": {}, "of": "x"}\n')
    (read,) = log.read()
    log.close()
    assert (read.address, read.kind) == ("s-0@example.com", Kind.WELCOME)
    assert (read.message, read.attempt, read.at) == ("7", "t", T0)
    assert read.unsubscribe == "http://localhost/u/x"


# --- the plans --------------------------------------------------------------


@pytest.mark.parametrize("sabotage", list(Sabotage), ids=str)
def test_a_sabotaged_plan_names_what_it_takes_out(sabotage):
    assert sabotaged(1, sabotage).sabotage is sabotage


def test_the_other_plans_take_nothing_out_and_hear_the_provider():
    for plan in (short(1), full(1, seconds=60)):
        assert plan.sabotage is None
        assert not plan.is_silent
    assert full(1, seconds=60).lost == 0, "it runs the product as it is"


# --- what strikes do ----------------------------------------------------------

DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""


class Postmasters:
    """A site of which one process is told to end, and does not hear it."""

    def __init__(self, process):
        self._process = process

    def look(self):
        return 0

    def parts(self, _part):
        return [self._process]


def test_a_postmaster_that_does_not_stop_when_told_to_is_killed_after_a_while():
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True
    ) as deaf:
        deaf.stdout.readline()
        told = Strike(1.0, Act.RESTART, Part.POSTMASTER, pick=0.0)
        strikes = Strikes(Postmasters(psutil.Process(deaf.pid)), [told])
        strikes.look(1.0)
        strikes.look(INSIST_S)
        assert deaf.poll() is None
        strikes.look(1.0 + INSIST_S)
        assert deaf.wait(10) == -signal.SIGKILL
    assert (strikes.struck.insisted, strikes.struck.kills) == (1, 0)


# --- what is written down -----------------------------------------------------


def an_outcome(seconds):
    verdict = judge(*perfect(), grace_s=GRACE_S)
    plan = full(7, seconds=seconds)
    return Outcome(plan=plan, verdict=verdict, struck=Struck(), restarts={})


def test_the_figures_name_each_promise_and_each_sum_with_its_count():
    story, ledger, seen, books = perfect()
    sums = [*CHECKS][:2]
    lost = {**books.stored, "s-7": 0}
    books = replace(
        books, stored=lost, differences=[f"{sums[0]} of rule 1: 3 is not 0"]
    )
    verdict = judge(story, ledger, seen, books, grace_s=GRACE_S)
    told = figures(replace(an_outcome(60), verdict=verdict))
    assert told["broken"].keys() == {breach.name.lower() for breach in Breach}
    assert {name for name, n in told["broken"].items() if n} == {"event_lost", "sums"}
    assert (told["differences"][sums[0]], told["differences"][sums[1]]) == (1, 0)
    assert not told["green"]


def test_a_drill_whose_strikes_found_nobody_is_not_green():
    outcome = an_outcome(60)
    planned = len(outcome.plan.strikes)
    assert outcome.breaches == {}
    few = replace(outcome, struck=Struck(missed=planned // 2))
    most = replace(outcome, struck=Struck(missed=planned // 2 + 1))
    assert (set(few.breaches), set(most.breaches)) == (set(), {Breach.SPARED})


def test_a_long_drill_takes_the_last_ones_place_in_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGINS}old\n{ENDS}after\n")
    for seconds in (LONG_S, 2 * LONG_S):
        publish(an_outcome(seconds), page, host="Two cores.")
    text = page.read_text()
    assert text.startswith(f"before\n{BEGINS}20 minutes, commit ")
    assert text.endswith(f"green\n{ENDS}after\n")
    assert "old" not in text
    assert text.count("| seed | 7 |") == 1


def test_a_short_drill_leaves_the_page_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("without a place for it")
    publish(an_outcome(LONG_S - 1), page, host="Two cores.")
    assert page.read_text() == "without a place for it"


def test_a_page_without_a_place_is_told_and_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGINS}no end")
    with pytest.raises(ValueError, match="two marks"):
        publish(an_outcome(LONG_S), page, host="Two cores.")
    assert page.read_text() == f"before\n{BEGINS}no end"


def test_the_docs_have_a_place_for_it():
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    assert text.index(BEGINS) < text.index(ENDS)
