-- A person asks for a topic again: the address's own refusal of it ends, and
-- nothing else. Uses suppression_once.
UPDATE campaigns_suppression SET
  lifted_at = %(now)s::timestamptz, lifted_by = 'customer', lifted_reason = %(why)s::text
WHERE address_hash = %(address_hash)s::bytea AND reason = 'unsubscribed'
  AND topic_id = %(topic)s::bigint AND lifted_at IS NULL
RETURNING address_hash, reason, topic_id
