-- A webhook body could not be applied: again later, or (NULL) never by itself.
UPDATE campaigns_webhookbatch SET pending_at = %(again_at)s::timestamptz, error = %(error)s
WHERE id = %(id)s AND applied_at IS NULL
