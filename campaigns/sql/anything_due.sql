-- Is there work for the mail cluster? Each part reads the first entry of an index:
-- timer_due_idx, message_queue_idx (where a provider can take it), message_lease_idx.
-- By order and limit, and not by EXISTS, which reads the whole table whenever the
-- statistics are those of a peak that is over.
SELECT COALESCE(
  (SELECT min(due_at) FROM campaigns_timer WHERE lane = 0) <= %(now)s::timestamptz
  OR (SELECT min(due_at) FROM campaigns_timer WHERE lane = 1) <= %(now)s::timestamptz
  OR EXISTS (
    SELECT 1 FROM campaigns_provider p
    WHERE p.enabled AND (p.paused_until IS NULL OR p.paused_until <= %(now)s::timestamptz)
      AND (p.open_until IS NULL OR p.open_until <= %(now)s::timestamptz)
      AND COALESCE(
        (SELECT m.id FROM campaigns_message m
         WHERE m.lane = 0 AND m.not_before <= %(now)s::timestamptz AND m.provider_id = p.id
         ORDER BY m.not_before LIMIT 1),
        (SELECT m.id FROM campaigns_message m
         WHERE m.lane = 1 AND m.not_before <= %(now)s::timestamptz AND m.provider_id = p.id
         ORDER BY m.not_before LIMIT 1)) IS NOT NULL)
  OR (SELECT min(lease_until) FROM campaigns_message) < clock_timestamp(),
  false)
