"""Journeys that wait, and mails that are queued, many at once by generate_series."""

from typing import Any, Final

from django.db import connection

from bench.place import rows
from bench.world import ENTERS
from campaigns.domain.states import MARKETING_LANE
from campaigns.models import Rule, Source

EVENTS: Final = """
    INSERT INTO campaigns_event (
      id, customer_id, source_id, type, name, message_id, occurred_at, received_at,
      properties, context)
    SELECT g, g, %(source)s, 'track', %(name)s, 'due-' || g, now(), %(at)s::timestamptz,
           '{"cart_id": "c1", "currency": "EUR", "url": "https://shop.example/cart",
             "products": [{"name": "Lamp", "quantity": 1, "price": 40},
                          {"name": "Shade", "quantity": 2, "price": 12.5},
                          {"name": "Bulb", "quantity": 4, "price": 3}]}', '{}'
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
"""
JOURNEYS: Final = """
    INSERT INTO campaigns_journey (
      id, customer_id, rule_id, version_id, key, event_id, event_received_at,
      event_occurred_at, trigger_id, trigger_received_at, trigger_occurred_at, arm,
      state, step, revision, lane, wait_since, started_at, watched_until)
    SELECT g, 1 + (g - 1) %% %(people)s, %(rule)s, %(version)s, 'k' || g, g,
           %(at)s::timestamptz, now(), g, %(at)s::timestamptz, now(), 'treated',
           'waiting', 0, 0, %(lane)s, now(), now(), '9999-01-01+00'
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
"""
TIMERS: Final = """
    INSERT INTO campaigns_timer (journey_id, customer_id, lane, due_at)
    SELECT g, 1 + (g - 1) %% %(people)s, %(lane)s,
           %(due)s::timestamptz + (g - %(first)s) * %(apart_s)s * interval '1 s'
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
"""
MAILS: Final = """
    INSERT INTO campaigns_message (
      id, journey_id, step, revision, purpose, customer_id, rule_id, version_id, kind,
      lane, variant, template_version_id, state, reason, due_at, not_before, attempt,
      address, provider_id, provider_message_id, created_at)
    SELECT g, g, 0, 0, 'journey', g, %(rule)s, %(version)s, 'marketing', %(lane)s, 0,
           %(template)s, 'queued', '', now(),
           %(due)s::timestamptz + (g - %(first)s) * %(apart_s)s * interval '1 s', 0, '',
           %(provider)s, '', now()
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
"""


def add_waiting(
    rule: Rule,
    ids: range,
    *,
    people: int,
    in_s: float,
    apart_s: float = 0.0,
    rendered: bool = True,
) -> None:
    """Make journeys with these ids that wait, the first of them due in `in_s` seconds.

    They are of customers 1 to `people` in turn, and each is due `apart_s` seconds
    after the one before. Without `rendered` there are no events behind them, so they
    could not be mailed.
    """
    values = _values(rule, ids, in_s=in_s, apart_s=apart_s) | {
        "people": people,
        "source": Source.objects.get().pk,
        "name": ENTERS,
    }
    if rendered:
        _run(EVENTS, values)
    _run(JOURNEYS, values)
    _run(TIMERS, values)


def add_mails(rule: Rule, ids: range, *, in_s: float) -> None:
    """Make queued mails with these ids, not to be sent before that time."""
    variant = rule.steps.get().variants.get()
    _run(
        MAILS,
        _values(rule, ids, in_s=in_s, apart_s=0.001)
        | {
            "template": variant.template.versions.latest("number").pk,
            "provider": rule.sender.provider_id,
        },
    )


def _values(rule: Rule, ids: range, *, in_s: float, apart_s: float) -> dict[str, Any]:
    ((now, due),) = rows("SELECT now(), now() + %s * interval '1 s'", in_s)
    return {
        "first": ids[0],
        "last": ids[-1],
        "rule": rule.pk,
        "version": rule.current_id,
        "lane": MARKETING_LANE,
        "at": now,
        "due": due,
        "apart_s": apart_s,
    }


def _run(statement: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
