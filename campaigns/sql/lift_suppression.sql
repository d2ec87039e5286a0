-- Lift one suppression, once; the row stays as the record of it. By primary key.
UPDATE campaigns_suppression SET
  lifted_at = %(now)s, lifted_by = %(by)s, lifted_reason = %(why)s
WHERE id = %(id)s AND lifted_at IS NULL
RETURNING address_hash, reason, topic_id
