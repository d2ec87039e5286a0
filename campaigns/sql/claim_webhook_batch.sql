-- Claim the stored webhook body that waits longest; the attempt counts from now on,
-- whatever becomes of who claimed it. Uses webhookbatch_pending_idx.
UPDATE campaigns_webhookbatch SET
  attempts = attempts + 1, pending_at = %(again_at)s::timestamptz
WHERE id = (
  SELECT id FROM campaigns_webhookbatch
  WHERE pending_at <= %(now)s::timestamptz
  ORDER BY pending_at LIMIT 1
  FOR UPDATE SKIP LOCKED)
RETURNING id, attempts, received_at, body, error
