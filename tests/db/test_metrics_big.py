"""What /metrics shows of big tables, where counting would cost."""

import pytest
from django.db import connection

from campaigns.watching import gauges
from tests.db.big_tables import OPEN

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("big")]
LANES = ("transactional", "marketing")


def shown(name):
    return {
        s.labels.get("lane"): s.value
        for family in gauges.collected()
        for s in family.samples
        if s.name == f"emailtriggers_{name}"
    }


def test_what_is_many_is_estimated(monkeypatch):
    monkeypatch.setattr(gauges, "COUNTED", 300)
    waiting, overdue = shown("timers"), shown("timers_overdue")
    for lane in LANES:
        assert OPEN * 0.3 < waiting[lane] < OPEN * 0.7
        assert 200 < overdue[lane] <= 301
    queued = shown("messages_queued")
    assert 300 <= sum(queued.values()) < 3000


def test_what_is_few_is_counted():
    assert shown("timers") == dict.fromkeys(LANES, OPEN / 2)
    assert set(shown("messages_queued")) == set(LANES)


def test_a_scrape_takes_a_handful_of_statements(django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        list(gauges.collected())
    assert connection.in_atomic_block  # the fixture's, as it was
