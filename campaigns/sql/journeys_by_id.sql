-- Journeys of locked customers, those that ended too. By primary key.
SELECT j.customer_id, j.id, j.rule_id, j.version_id, j.key, j.exit_value,
       j.event_id, j.event_received_at, j.event_occurred_at,
       j.trigger_id, j.trigger_received_at, j.trigger_occurred_at,
       j.arm, j.state, j.step, j.revision, j.lane, j.wait_since, j.woken_by,
       j.held_due_at, j.started_at, j.ended_at, j.cause, j.goal_until,
       j.converted_at, NULL::bigint, NULL::timestamptz
FROM campaigns_journey j
WHERE j.id = ANY(%(ids)s::bigint[])
