-- End mails whose lease is over and whose customer's row is gone, and their journeys:
-- nobody else can decide about them. Return their tokens and what they are now.
-- By primary key. Worded against walks through an empty table (__init__.py).
WITH ended AS (
  UPDATE campaigns_message m SET
    state = CASE m.state WHEN 'sending' THEN 'unknown' ELSE 'cancelled' END,
    reason = CASE m.state WHEN 'sending' THEN 'no_answer' ELSE 'customer_gone' END,
    lease_until = NULL, settled_at = %(now)s::timestamptz
  WHERE m.id = ANY(%(ids)s::bigint[])
    AND COALESCE(m.lease_until, 'infinity') < clock_timestamp()
  RETURNING m.token, m.state, m.journey_id
), over AS (
  UPDATE campaigns_journey j SET
    state = 'cancelled', ended_at = %(now)s::timestamptz, held_due_at = NULL,
    watched_until = NULL, cause = '{"reason": "customer_gone"}'
  FROM ended
  WHERE j.id = ANY(ARRAY[ended.journey_id]) AND (j.ended_at IS NULL) IS TRUE
)
SELECT token, state FROM ended
