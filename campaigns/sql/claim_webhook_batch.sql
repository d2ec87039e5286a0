-- Claim the stored webhook body that waits longest; the attempt counts from now on,
-- whatever becomes of who claimed it. One that comes again and again, as if it killed
-- who applies it, or in an outage, waits longer; the number stays a smallint for years.
-- Uses webhookbatch_pending_idx.
UPDATE campaigns_webhookbatch SET
  attempts = LEAST(attempts + 1, 30000),
  pending_at = CASE WHEN attempts < %(max_attempts)s::int
    THEN %(again_at)s::timestamptz ELSE %(later_at)s::timestamptz END
WHERE id = (
  SELECT id FROM campaigns_webhookbatch
  WHERE pending_at <= %(now)s::timestamptz
  ORDER BY pending_at LIMIT 1
  FOR UPDATE SKIP LOCKED)
RETURNING id, attempts, received_at, body, error
