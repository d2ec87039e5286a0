-- Count a goal, once a journey.
INSERT INTO campaigns_conversion (
  journey_id, rule_id, customer_id, arm, event_id, occurred_at, counted_at)
SELECT v.journey_id, v.rule_id, v.customer_id, v.arm, v.event_id, v.occurred_at,
       %(now)s::timestamptz
FROM unnest(
       %(journey_id)s::bigint[], %(rule_id)s::bigint[], %(customer_id)s::bigint[],
       %(arm)s::text[], %(event_id)s::bigint[], %(occurred_at)s::timestamptz[]
     ) AS v (journey_id, rule_id, customer_id, arm, event_id, occurred_at)
