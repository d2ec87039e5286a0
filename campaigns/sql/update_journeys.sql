-- Move journeys of locked customers from the state that was read. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_journey j SET
  customer_id = v.customer_id, trigger_id = v.trigger_id,
  trigger_received_at = v.trigger_received_at,
  trigger_occurred_at = v.trigger_occurred_at,
  state = v.state, step = v.step, revision = v.revision, wait_since = v.wait_since,
  woken_by = v.woken_by, held_due_at = v.held_due_at, ended_at = v.ended_at,
  cause = v.cause::jsonb, goal_until = v.goal_until, converted_at = v.converted_at,
  watched_until = v.watched_until
FROM unnest(
       %(id)s::bigint[], %(old_state)s::text[], %(customer_id)s::bigint[],
       %(trigger_id)s::bigint[], %(trigger_received_at)s::timestamptz[],
       %(trigger_occurred_at)s::timestamptz[], %(state)s::text[], %(step)s::int[],
       %(revision)s::int[], %(wait_since)s::timestamptz[], %(woken_by)s::bigint[],
       %(held_due_at)s::timestamptz[], %(ended_at)s::timestamptz[], %(cause)s::text[],
       %(goal_until)s::timestamptz[], %(converted_at)s::timestamptz[],
       %(watched_until)s::timestamptz[]
     ) AS v (id, old_state, customer_id, trigger_id, trigger_received_at,
             trigger_occurred_at, state, step, revision, wait_since, woken_by,
             held_due_at, ended_at, cause, goal_until, converted_at, watched_until)
WHERE j.id = ANY(ARRAY[v.id]) AND j.state = v.old_state
