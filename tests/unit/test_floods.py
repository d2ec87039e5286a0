"""What strangers bring about in the log stays small."""

import logging

import pytest

from emailtriggers.floods import MOST, WINDOW_S, Floods, kind_of


class SetClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def floods(clock):
    return Floods(clock)


def refused(name="django.request", status=401, level=logging.WARNING, error=None):
    made = logging.LogRecord(name, level, "", 1, "%s: %s", ("No", "/v1/x"), error)
    if status:
        made.status_code = status
    return made


def test_the_first_of_a_kind_are_told_and_the_rest_are_counted(floods, clock):
    told = [floods.filter(refused()) for _ in range(MOST + 500)]
    assert told == [True] * MOST + [False] * 500
    clock.now += WINDOW_S
    after = refused()
    assert floods.filter(after)
    assert after.getMessage() == "No: /v1/x (500 more like this were left out before)"
    following = refused()
    assert floods.filter(following)
    assert following.getMessage() == "No: /v1/x"


def test_a_flood_of_one_kind_hides_no_other(floods):
    for _ in range(2 * MOST):
        floods.filter(refused(status=401))
    assert floods.filter(refused(status=404))
    assert floods.filter(refused("django.security.csrf", 403))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("django.request", 500),
        ("django.request", 503),
        ("django.request", 0),
        ("campaigns.receive.answers", 0),
        ("campaigns.feedback.apply", 0),
        ("root", 401),
    ],
)
def test_our_own_failures_are_told_each_time(floods, name, status):
    assert kind_of(refused(name, status)) is None
    assert all(floods.filter(refused(name, status)) for _ in range(3 * MOST))


def test_a_foreign_host_is_a_warning_of_one_line(floods):
    error = (ValueError, ValueError("no"), None)
    made = refused("django.security.DisallowedHost", 400, logging.ERROR, error)
    assert floods.filter(made)
    assert (made.levelname, made.exc_info) == ("WARNING", None)


def test_a_refusal_is_told_without_our_stack_and_a_failure_with_it(floods):
    error = (ValueError, ValueError("no"), None)
    made = refused("django.request", 403, error=error)
    assert floods.filter(made)
    assert made.exc_info is None
    made = refused("django.request", 500, logging.ERROR, error)
    assert floods.filter(made)
    assert (made.levelname, made.exc_info) == ("ERROR", error)


def test_refused_webhooks_are_a_kind_and_an_outage_is_none(floods):
    made = logging.LogRecord(
        "campaigns.feedback.views", logging.WARNING, "", 1, "a webhook was refused: %s", ("stale",), None
    )  # fmt: skip
    assert kind_of(made) == ("campaigns.feedback.views", 0)
    made.msg = "a webhook is put off, the database is away: %s"
    assert kind_of(made) is None
