"""A database of its own with big tables, where the planner's choice matters.

Made once for a run by copying the migrated test database, filled by
generate_series, and dropped at the end. The rows are as the engine would have
left them after three months, in what indexes and conditions look at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import psycopg
from django.db import connection
from django.utils import timezone

from campaigns.ingest import partitions
from campaigns.models import Company, IngestState, Rule, WebhookEndpoint
from demo.seed import seed

PEOPLE: Final = 100_000
OPEN: Final = 20_000  # journeys that wait; the last ones
MONTHS: Final = 3

FILL: Final = (
    """
    INSERT INTO campaigns_customer (
      id, born_as, user_id, email, email_said_at, email_trusted, traits, trait_times,
      time_zone, locale, bucket, merged_into, merged_ids, created_at, updated_at)
    SELECT g, 'user:u' || g, 'u' || g, 'u' || g || '@example.com', now(), true,
           '{"first_name": "Ada"}', '{}', '', '', g %% 10000,
           CASE WHEN g %% 50 = 0 THEN g - 1 END, '{}',
           now() - (%(people)s - g) * interval '78 s', now()
    FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_identity (namespace, value, customer_id)
    SELECT g %% 2, 'u' || g, g FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_event (
      id, customer_id, source_id, type, name, message_id, occurred_at, received_at,
      properties, context)
    SELECT g, 1 + g %% (%(people)s / 4), 1, 'track',
           (ARRAY['Signed Up', 'Product Viewed', 'Cart Updated', 'Order Completed'])[
             1 + g * 4 / (%(people)s + 1)], 'm' || g,
           t.at - interval '1 s', t.at, '{"cart_id": "c1"}', '{}'
    FROM generate_series(1, %(people)s) g,
         LATERAL (SELECT now() - (%(people)s - g) * interval '78 s' AS at) t
    """,
    """
    INSERT INTO campaigns_journey (
      id, customer_id, rule_id, version_id, key, event_id, event_received_at,
      event_occurred_at, trigger_id, trigger_received_at, trigger_occurred_at, arm,
      state, step, revision, lane, wait_since, started_at, ended_at, watched_until)
    SELECT g, g, r.id, r.current_id, '', g, t.at, t.at, g, t.at, t.at, 'treated',
           CASE WHEN o.yes THEN 'waiting' ELSE 'finished' END, 0, 0, g %% 2, t.at, t.at,
           CASE WHEN NOT o.yes THEN t.at END,
           CASE WHEN o.yes THEN '9999-01-01'::timestamptz
                WHEN g %% 50 = 0 THEN t.at + interval '80 days' END
    FROM generate_series(1, %(people)s) g
    JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, current_id
          FROM campaigns_rule) r ON r.n = g %% 5,
         LATERAL (SELECT now() - (%(people)s - g) * interval '78 s' AS at) t,
         LATERAL (SELECT g > %(people)s - %(open)s AS yes) o
    """,
    """
    INSERT INTO campaigns_timer (journey_id, customer_id, lane, due_at)
    SELECT g, g, g %% 2, now() + (g - (%(people)s - %(open)s + 500)) * interval '3 s'
    FROM generate_series(%(people)s - %(open)s + 1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_message (
      id, journey_id, step, revision, purpose, customer_id, rule_id, version_id, kind,
      lane, variant, template_version_id, state, reason, due_at, not_before, attempt,
      token, lease_until, address, address_hash, provider_id, provider_message_id,
      created_at, sending_at, settled_at)
    SELECT g, g, 0, 0, 'journey', g, 1, 1, 'marketing', g %% 2, 0, 1,
           CASE WHEN q.queued THEN 'queued' WHEN q.claimed THEN 'claimed' ELSE 'sent' END,
           '', t.at, CASE WHEN q.queued THEN t.at END, 1,
           CASE WHEN NOT q.queued THEN md5(g::text)::uuid END,
           CASE WHEN q.claimed THEN now() + interval '10 s' END, '',
           decode(md5('a' || g), 'hex'), p.id,
           CASE WHEN q.queued OR q.claimed THEN '' ELSE 'p' || g END, t.at,
           CASE WHEN NOT q.queued AND NOT q.claimed THEN t.at END,
           CASE WHEN NOT q.queued AND NOT q.claimed THEN t.at END
    FROM generate_series(1, %(people)s) g, campaigns_provider p,
         LATERAL (SELECT now() - (%(people)s - g) * interval '78 s' AS at) t,
         LATERAL (SELECT g %% 100 = 1 AS queued, g %% 4000 = 2 AS claimed) q
    """,
    """
    INSERT INTO campaigns_attempt (
      id, message_id, number, state, started_at, status, detail)
    SELECT md5(g::text)::uuid, g, 1, 'accepted', now(), 202, ''
    FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_deliveryevent (
      id_key, content_key, message_id, type, occurred_at, received_at, url, machine,
      detail)
    SELECT md5('i' || g)::uuid, md5('c' || g)::uuid, g, 'delivered', t.at, t.at, '',
           false, '{}'
    FROM generate_series(1, %(people)s) g,
         LATERAL (SELECT now() - (%(people)s - g) * interval '78 s' AS at) t
    """,
    """
    INSERT INTO campaigns_webhookbatch (
      endpoint_id, received_at, body, attempts, pending_at, applied_at, error)
    SELECT e.id, t.at, 'x', 1, CASE WHEN g %% 2000 = 0 THEN t.at END,
           CASE WHEN g %% 2000 > 0 THEN t.at END, ''
    FROM generate_series(1, %(people)s / 4) g, campaigns_webhookendpoint e,
         LATERAL (SELECT now() - (%(people)s / 4 - g) * interval '312 s' AS at) t
    """,
    """
    INSERT INTO campaigns_suppression (
      address_hash, address, scope, reason, origin, created_at, lifted_at, lifted_by,
      lifted_reason)
    SELECT decode(md5('a' || g), 'hex'), '', 'all', 'hard_bounce', '',
           now() - g * interval '60 s', CASE WHEN g %% 20 = 0 THEN now() END, '', ''
    FROM generate_series(1, %(people)s / 4) g
    """,
    """
    INSERT INTO campaigns_subscription (
      customer_id, topic_id, subscribed, changed_at, origin)
    SELECT g, t.id, true, now(), '' FROM generate_series(1, %(people)s) g, campaigns_topic t
    """,
    """
    INSERT INTO campaigns_consent (
      customer_id, topic_id, granted, said_at, origin, wording)
    SELECT g, t.id, true, now(), '', ''
    FROM generate_series(1, %(people)s) g, campaigns_topic t
    """,
    """
    INSERT INTO campaigns_refusal (customer_id, refused_at, origin, wording)
    SELECT g, now(), '', '' FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_cooldown (customer_id, rule_id, key, until)
    SELECT g, 1, '', now() + (g - 1000) * interval '60 s'
    FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_conversion (
      journey_id, rule_id, customer_id, arm, event_id, occurred_at, counted_at)
    SELECT g, 1, g, 'treated', g, now(), now() FROM generate_series(1, %(people)s / 4) g
    """,
    """
    INSERT INTO campaigns_decisioncount (rule_id, hour, reason, count)
    SELECT g %% 5, date_trunc('hour', now()) - (g / 20) * interval '1 hour',
           (ARRAY['entered', 'cooldown', 'condition', 'too_old'])[1 + g %% 4], 3
    FROM generate_series(0, %(people)s / 4) g
    """,
    """
    INSERT INTO campaigns_dedupe_0 (k)
    SELECT md5('d0' || g)::uuid FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_dedupe_1 (k)
    SELECT md5('d1' || g)::uuid FROM generate_series(1, %(people)s) g
    """,
    """
    INSERT INTO campaigns_rejectedevent (
      received_at, source_id, code, detail, path, message_id, body)
    SELECT now() - g * interval '60 s', s.id, 'bad', '', '', '', ''
    FROM generate_series(1, %(people)s / 8) g, campaigns_source s
    """,
    """
    INSERT INTO django_session (session_key, session_data, expire_date)
    SELECT md5(g::text || random()), repeat('x', 200),
           now() + (g - 100) * interval '60 s'
    FROM generate_series(1, %(people)s / 8) g
    """,
)


@contextmanager
def big_database() -> Iterator[str]:
    """Make the database, give its name, and drop it at the end."""
    with copied("big") as name:
        with leading_to(name):
            fill()
        yield name


@contextmanager
def copied(suffix: str) -> Iterator[str]:
    """Copy the test database, give the copy's name, and drop it at the end."""
    name = _copy_of(connection.settings_dict["NAME"], suffix)
    try:
        yield name
    finally:
        with _server() as server:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def leading_to(name: str) -> Iterator[None]:
    """Let Django's connection lead to that database."""
    at = connection.settings_dict
    connection.close()
    usual, at["NAME"] = at["NAME"], name
    try:
        yield
    finally:
        connection.close()
        at["NAME"] = usual


def fill(people: int = PEOPLE, waiting: int = OPEN) -> None:
    """Fill the tables; the planner then knows how big they are."""
    now = timezone.now()
    IngestState.objects.get_or_create(pk=1, defaults={"rotated_at": now})
    Company.objects.get_or_create(pk=1)
    WebhookEndpoint.objects.create(slug="big", public_keys=[])
    for days in range(0, 31 * (MONTHS + 1), 28):
        partitions.create(now - timedelta(days=days))
    partitions.create_ahead(now)
    if not Rule.objects.exists():
        seed(write_key="big", live=True)
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, {"people": people, "open": waiting})
        cursor.execute("VACUUM ANALYZE")


def _copy_of(name: str, suffix: str) -> str:
    copy = f"{name}_{suffix}"
    connection.close()
    with _server() as server:
        server.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
        # A copy needs the original for itself.
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        server.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
    return copy


def _server() -> "psycopg.Connection[tuple[object, ...]]":
    given = connection.get_connection_params()
    known = {k: given[k] for k in ("host", "port", "user", "password") if k in given}
    return psycopg.connect(**known, dbname="postgres", autocommit=True)
