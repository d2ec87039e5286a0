"""What Django's schema editor cannot say: partitions, dedupe tables, ids, storage."""

from django.db import migrations

FORWARD = [
    # One sequence for the ids of every hot table; a process takes 1000 at a time.
    "CREATE SEQUENCE campaigns_ids INCREMENT BY 1000 START WITH 1000",
    # The order of deciding transactions, drawn only with RECORD_ORDER.
    "CREATE SEQUENCE campaigns_ordinals",
    """
    CREATE TABLE campaigns_event (
      id bigint NOT NULL,
      customer_id bigint NOT NULL,
      source_id bigint NOT NULL,
      type text NOT NULL,
      name text NOT NULL,
      message_id text NOT NULL,
      occurred_at timestamptz NOT NULL,
      received_at timestamptz NOT NULL,
      properties jsonb NOT NULL,
      context jsonb NOT NULL,
      traits jsonb,
      decisions jsonb,
      notes jsonb
    ) PARTITION BY RANGE (received_at)
    """,
    # One event by its id, for its page and for rendering.
    "CREATE INDEX event_id_idx ON campaigns_event (id)",
    # History conditions, exits, goals, the customer's page.
    "CREATE INDEX event_history_idx ON campaigns_event (customer_id, name, occurred_at)",
    # Keyset pages of the admin's list; retention.
    "CREATE INDEX event_recent_idx ON campaigns_event (received_at DESC, id DESC)",
    "CREATE TABLE campaigns_dedupe_0 (k uuid PRIMARY KEY)",
    "CREATE TABLE campaigns_dedupe_1 (k uuid PRIMARY KEY)",
    """
    INSERT INTO campaigns_ingeststate (id, ruleset, generation, rotated_at)
    VALUES (1, 0, 0, now())
    """,
    """
    INSERT INTO campaigns_company (id, name, time_zone, cap_days)
    VALUES (1, '', 'UTC', 7)
    """,
    """
    ALTER TABLE campaigns_timer SET (
      autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
      autovacuum_vacuum_cost_delay = 0, fillfactor = 90)
    """,
    "ALTER TABLE campaigns_message SET (fillfactor = 80)",
    "ALTER TABLE campaigns_journey SET (fillfactor = 85)",
    "ALTER TABLE campaigns_cooldown SET (fillfactor = 80)",
    "ALTER TABLE campaigns_customer SET (fillfactor = 85)",
    "ALTER TABLE campaigns_identity SET (fillfactor = 90)",
]

BACKWARD = [
    "DROP TABLE campaigns_dedupe_1",
    "DROP TABLE campaigns_dedupe_0",
    "DROP TABLE campaigns_event",
    "DROP SEQUENCE campaigns_ordinals",
    "DROP SEQUENCE campaigns_ids",
]


class Migration(migrations.Migration):
    """Create them."""

    dependencies = [("campaigns", "0001_initial")]

    operations = [
        migrations.RunSQL("; ".join(FORWARD), "; ".join(BACKWARD)),
    ]
