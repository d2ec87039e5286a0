-- Is there work for the mail cluster? Each part reads the first entry of an index:
-- timer_due_idx, message_queue_idx (where a provider can take it), message_lease_idx.
SELECT EXISTS (
         SELECT 1 FROM campaigns_timer WHERE lane = 0 AND due_at <= %(now)s::timestamptz)
    OR EXISTS (
         SELECT 1 FROM campaigns_timer WHERE lane = 1 AND due_at <= %(now)s::timestamptz)
    OR EXISTS (
         SELECT 1 FROM campaigns_provider p
         WHERE p.enabled AND (p.paused_until IS NULL OR p.paused_until <= %(now)s::timestamptz)
           AND (p.open_until IS NULL OR p.open_until <= %(now)s::timestamptz)
           AND (EXISTS (SELECT 1 FROM campaigns_message m
                        WHERE m.lane = 0 AND m.not_before <= %(now)s::timestamptz
                          AND m.provider_id = p.id)
             OR EXISTS (SELECT 1 FROM campaigns_message m
                        WHERE m.lane = 1 AND m.not_before <= %(now)s::timestamptz
                          AND m.provider_id = p.id)))
    OR EXISTS (
         SELECT 1 FROM campaigns_message WHERE lease_until < clock_timestamp())
