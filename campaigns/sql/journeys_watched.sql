-- The journeys of locked customers that events still matter to. Uses journey_watched_idx.
-- Worded against walks through an empty table (__init__.py).
SELECT j.customer_id, j.id, j.rule_id, j.version_id, j.key, j.exit_value,
       j.event_id, j.event_received_at, j.event_occurred_at,
       j.trigger_id, j.trigger_received_at, j.trigger_occurred_at,
       j.arm, j.state, j.step, j.revision, j.lane, j.wait_since, j.woken_by,
       j.held_due_at, j.started_at, j.ended_at, j.cause, j.goal_until,
       j.converted_at, NULL::bigint, t.due_at
FROM campaigns_journey j
LEFT JOIN LATERAL (
  SELECT n.due_at FROM campaigns_timer n WHERE n.journey_id = j.id
  OFFSET 0
) t ON true
WHERE j.customer_id = ANY(%(people)s::bigint[]) AND j.watched_until IS NOT NULL
ORDER BY j.id + 0
