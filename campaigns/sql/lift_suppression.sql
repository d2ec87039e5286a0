-- Lift one suppression, once; the row stays as the record of it. By primary key.
UPDATE campaigns_suppression SET
  lifted_at = %(now)s::timestamptz, lifted_by = %(by)s::text, lifted_reason = %(why)s::text
WHERE id = %(id)s::bigint AND lifted_at IS NULL
RETURNING address_hash, reason, topic_id
