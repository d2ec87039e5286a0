-- A webhook body is applied, in the transaction that applied it. By primary key.
UPDATE campaigns_webhookbatch SET
  applied_at = %(now)s::timestamptz, pending_at = NULL, error = %(error)s::text, summary = %(summary)s::jsonb
WHERE id = %(id)s::bigint
