-- Lift one suppression, once; the row stays as the record of it. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_suppression SET
  lifted_at = %(now)s::timestamptz, lifted_by = %(by)s::text, lifted_reason = %(why)s::text
WHERE id = %(id)s::bigint AND (lifted_at IS NULL) IS TRUE
RETURNING address_hash, reason, topic_id
