-- A timer exists exactly while its journey waits. By primary key.
INSERT INTO campaigns_timer (journey_id, customer_id, lane, due_at)
SELECT v.journey_id, v.customer_id, v.lane, v.due_at
FROM unnest(
       %(journey_id)s::bigint[], %(customer_id)s::bigint[], %(lane)s::int[],
       %(due_at)s::timestamptz[]
     ) AS v (journey_id, customer_id, lane, due_at)
ON CONFLICT (journey_id) DO UPDATE SET
  customer_id = EXCLUDED.customer_id, due_at = EXCLUDED.due_at
