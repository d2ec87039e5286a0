-- Whether a stored webhook body waits to be applied. Uses webhookbatch_pending_idx.
SELECT EXISTS (
  SELECT FROM campaigns_webhookbatch WHERE pending_at <= %(now)s::timestamptz)
