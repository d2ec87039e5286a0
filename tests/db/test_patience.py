"""Looks that the database ends in time, and what was set before them."""

import pytest
from django.db import OperationalError, connection
from django.db.transaction import atomic

from campaigns.admin.base import bounded_reading
from campaigns.deciding.patience import no_longer_than, took_too_long
from campaigns.reports.counts import quickly
from campaigns.watching import page

pytestmark = pytest.mark.django_db


def asked(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def timeout():
    return asked("SHOW statement_timeout")


@pytest.fixture
def seven_seconds():
    """As a role's own setting, or the connection's."""
    asked("SELECT set_config('statement_timeout', '7s', true)")


def look_at_a_list():
    with bounded_reading():
        return timeout()


@pytest.mark.parametrize(
    ("look", "meanwhile"),
    [(look_at_a_list, "3s"), (lambda: quickly(timeout), "800ms")],
    ids=["list", "count"],
)
def test_what_was_set_before_a_look_holds_behind_it(seven_seconds, look, meanwhile):
    assert look() == meanwhile
    assert timeout() == "7s"


def test_what_was_set_before_a_scrape_holds_behind_it(seven_seconds):
    assert b"emailtriggers_database_up 1.0" in page.text()
    assert timeout() == "7s"


def test_a_look_that_takes_too_long_is_ended_and_told_from_other_errors(seven_seconds):
    with pytest.raises(OperationalError) as slow, atomic(), no_longer_than(20):
        asked("SELECT pg_sleep(10)")
    assert took_too_long(slow.value)
    assert timeout() == "7s"
    assert not took_too_long(OperationalError("gone"))
    assert quickly(lambda: asked("SELECT pg_sleep(10)")) is None
    assert timeout() == "7s"
