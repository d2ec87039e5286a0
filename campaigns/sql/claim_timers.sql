-- Take due timers of one lane, oldest first, with their customers; what another
-- holds is passed over, so this never waits. Uses timer_due_idx; the low-water
-- mark keeps a long snapshot's dead index entries from being walked again.
-- Worded against walks through an empty table (__init__.py).
SELECT t.journey_id, t.customer_id, t.due_at
FROM campaigns_timer t
JOIN campaigns_customer c ON c.id = ANY(ARRAY[t.customer_id])
WHERE t.lane = %(lane)s::int AND t.due_at <= %(now)s::timestamptz AND t.due_at >= %(mark)s::timestamptz
ORDER BY t.due_at, t.journey_id
LIMIT %(limit)s::bigint
FOR UPDATE OF t SKIP LOCKED
FOR NO KEY UPDATE OF c SKIP LOCKED
