"""Codes are said in a marketer's words, and a rule's sentence leaves nothing out."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from campaigns.domain.answers import Refusal
from campaigns.domain.provider_events import DeliveryType
from campaigns.domain.signatures import Verdict
from campaigns.domain.states import MessageState, Reason, SkipReason, SuppressionReason
from campaigns.reports.codes import (
    DECISIONS,
    MAILS,
    OUTCOMES,
    REFUSALS,
    REPORTS,
    SUPPRESSIONS,
    TURNED_AWAY,
)
from campaigns.reports.wording import (
    cause_words,
    days_words,
    decision_words,
    hours_words,
    label,
    mail_words,
    rule_sentence,
    time_words,
)

CODE = re.compile(r"[a-z]+_[a-z]+|T\d\d:\d\d|\bNone\b|[{}\[\]]")
SETTLED = {
    MessageState.SENT,
    MessageState.SKIPPED,
    MessageState.FAILED,
    MessageState.UNKNOWN,
    MessageState.CANCELLED,
}


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        pytest.param(DECISIONS, Reason, id="decisions"),
        pytest.param(MAILS, SkipReason, id="mails"),
        pytest.param(SUPPRESSIONS, SuppressionReason, id="suppressions"),
        pytest.param(REFUSALS, Refusal, id="refusals"),
        pytest.param(REPORTS, DeliveryType, id="reports"),
        pytest.param(OUTCOMES, SETTLED, id="outcomes"),
        pytest.param(
            TURNED_AWAY,
            [f"webhook_{v}" for v in Verdict if v is not Verdict.OK],
            id="turned away",
        ),
    ],
)
def test_every_code_has_words(words, codes):
    assert {str(code) for code in codes} - set(words) == set()
    assert [w for w in words.values() if CODE.search(w)] == []


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        pytest.param(
            {"message": 1002, "outcome": "sent"},
            "all steps are done: the last mail was sent",
            id="sent",
        ),
        pytest.param(
            {"step": 1, "reason": "no_variant"},
            "no mail of the step was meant for this person",
            id="no variant",
        ),
        pytest.param(
            {
                "reason": "exit_event",
                "event": 7,
                "name": "Order Completed",
                "occurred_at": "2026-11-21T14:02:00+00:00",
            },
            "an exit event happened: “Order Completed”; it happened at "
            "21 Nov 2026, 14:02:00 UTC",
            id="exit",
        ),
        pytest.param(
            {"reason": "merged", "into": 5},
            "the person was merged with another: now customer 5",
            id="merged",
        ),
        pytest.param(None, "", id="none"),
    ],
)
def test_a_journeys_end_is_said(cause, said):
    with timezone.override("UTC"):
        assert cause_words(cause) == said


@pytest.mark.parametrize(
    ("reason", "detail", "said"),
    [
        pytest.param(
            "suppressed",
            {"because": ["hard_bounce", "unsubscribed"]},
            "the address is suppressed: the mailbox does not exist (hard bounce), "
            "the person unsubscribed",
            id="suppressed",
        ),
        pytest.param(
            "frequency_cap",
            {"sent": 3, "cap": 3, "days": 7},
            "the person had as many marketing mails as allowed: 3 were sent; "
            "3 are allowed",
            id="cap",
        ),
        pytest.param(
            "",
            {"refusal": "rate_limited", "status": 429, "problem": "Too many."},
            "the provider asked for a slower rate; status 429; Too many.",
            id="waits for the provider",
        ),
        pytest.param("", None, "", id="nothing"),
    ],
)
def test_a_mails_fate_is_said(reason, detail, said):
    assert mail_words(reason, detail) == said


def test_a_decision_names_the_values_in_words():
    with timezone.override("UTC"):
        cool = decision_words(
            {
                "reason": "cooldown",
                "detail": {"until": "2026-11-28T09:00:00+00:00", "key": "c1"},
            }
        )
        late = decision_words(
            {
                "reason": "too_old",
                "detail": {
                    "occurred_at": "2026-01-01T00:00:00+00:00",
                    "limit_s": 259_200,
                },
            }
        )
    assert cool == (
        "the rule does not repeat so soon: not before 28 Nov 2026, 09:00:00 UTC; "
        "for the same “c1”"
    )
    assert late.endswith("the limit is 3 days")


@pytest.mark.parametrize("reason", list(Reason), ids=str)
def test_no_badge_shows_a_code(reason):
    assert not CODE.search(label(reason))


@pytest.mark.parametrize(
    ("days", "said"),
    [
        pytest.param([0, 1, 2, 3, 4], "Mon to Fri", id="run"),
        pytest.param([5, 6], "Sat, Sun", id="two"),
        pytest.param([4, 1], "Tue, Fri", id="apart"),
    ],
)
def test_weekdays_are_said_shortly(days, said):
    assert days_words(days) == said


def a_step(**changes):
    given = {
        "weekdays": [],
        "send_from": "",
        "send_until": "",
        "quiet_from": "",
        "quiet_until": "",
        "delay_amount": 1,
        "delay_unit": "hours",
        "wait_for": [],
        "variants": SimpleNamespace(
            all=lambda: [SimpleNamespace(template=SimpleNamespace(name="Help"))]
        ),
    }
    return SimpleNamespace(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "", id="always"),
        pytest.param(
            {"weekdays": [0, 1, 2, 3, 4], "send_from": "09:00", "send_until": "17:00"},
            "Mon to Fri from 09:00 to 17:00",
            id="office hours",
        ),
        pytest.param({"send_from": "08:00"}, "from 08:00 to 24:00", id="from"),
        pytest.param(
            {"quiet_from": "21:00", "quiet_until": "08:00"},
            "never from 21:00 to 08:00",
            id="quiet",
        ),
    ],
)
def test_a_steps_hours_are_said(changes, said):
    assert hours_words(a_step(**changes)) == said


def test_a_rules_sentence_names_its_window():
    step = a_step(weekdays=[0, 1, 2, 3, 4], send_from="09:00", send_until="17:00")
    rule = SimpleNamespace(
        trigger_events=["Visited Pricing Page"],
        condition=None,
        steps=SimpleNamespace(all=lambda: [step]),
        exit_events=[],
        cooldown_amount=0,
    )
    assert rule_sentence(rule) == (
        "When “Visited Pricing Page”, wait 1 hour, send “Help” "
        "(Mon to Fri from 09:00 to 17:00, the customer's time)."
    )


def test_a_time_is_said_in_the_zone_asked_for():
    at = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    said = time_words(at, ZoneInfo("America/New_York"))
    assert said == "23 Nov 2026, 09:00:00 EST"
