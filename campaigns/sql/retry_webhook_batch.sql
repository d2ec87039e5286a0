-- A webhook body could not be applied: again later, or (NULL) never by itself.
-- Another process may have applied it meanwhile. By primary key.
UPDATE campaigns_webhookbatch SET
  pending_at = CASE WHEN applied_at IS NULL THEN %(again_at)s::timestamptz END,
  error = CASE WHEN applied_at IS NULL THEN %(error)s::text ELSE error END
WHERE id = %(id)s::bigint
