-- The timers of a batch, blindly.
INSERT INTO campaigns_timer (journey_id, customer_id, lane, due_at)
SELECT * FROM unnest(%(journey_id)s::bigint[], %(customer_id)s::bigint[],
                     %(lane)s::int[], %(due_at)s::timestamptz[])
