-- Whether a stored webhook body waits to be applied. Uses webhookbatch_pending_idx:
-- min() reads its first entry. EXISTS would read the table instead whenever the
-- statistics are those of a peak, and all of it once the peak is over.
SELECT COALESCE((SELECT min(pending_at) FROM campaigns_webhookbatch)
                <= %(now)s::timestamptz, false)
