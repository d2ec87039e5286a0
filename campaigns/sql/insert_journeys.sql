-- Start journeys; journey_one_open is the alarm if a cooldown ever admitted two.
INSERT INTO campaigns_journey (
  id, customer_id, rule_id, version_id, key, exit_value,
  event_id, event_received_at, event_occurred_at,
  trigger_id, trigger_received_at, trigger_occurred_at,
  arm, state, step, revision, lane, wait_since, woken_by, held_due_at,
  started_at, ended_at, cause, goal_until, converted_at, watched_until)
SELECT v.id, v.customer_id, v.rule_id, v.version_id, v.key, v.exit_value,
       v.event_id, v.event_received_at, v.event_occurred_at,
       v.trigger_id, v.trigger_received_at, v.trigger_occurred_at,
       v.arm, v.state, v.step, v.revision, v.lane, v.wait_since, v.woken_by,
       v.held_due_at, v.started_at, v.ended_at, v.cause::jsonb, v.goal_until,
       v.converted_at, v.watched_until
FROM unnest(
       %(id)s::bigint[], %(customer_id)s::bigint[], %(rule_id)s::bigint[],
       %(version_id)s::bigint[], %(key)s::text[], %(exit_value)s::text[],
       %(event_id)s::bigint[], %(event_received_at)s::timestamptz[],
       %(event_occurred_at)s::timestamptz[], %(trigger_id)s::bigint[],
       %(trigger_received_at)s::timestamptz[], %(trigger_occurred_at)s::timestamptz[],
       %(arm)s::text[], %(state)s::text[], %(step)s::int[], %(revision)s::int[],
       %(lane)s::int[], %(wait_since)s::timestamptz[], %(woken_by)s::bigint[],
       %(held_due_at)s::timestamptz[], %(started_at)s::timestamptz[],
       %(ended_at)s::timestamptz[], %(cause)s::text[], %(goal_until)s::timestamptz[],
       %(converted_at)s::timestamptz[], %(watched_until)s::timestamptz[]
     ) AS v (id, customer_id, rule_id, version_id, key, exit_value,
             event_id, event_received_at, event_occurred_at,
             trigger_id, trigger_received_at, trigger_occurred_at,
             arm, state, step, revision, lane, wait_since, woken_by, held_due_at,
             started_at, ended_at, cause, goal_until, converted_at, watched_until)
