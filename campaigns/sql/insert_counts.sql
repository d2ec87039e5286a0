-- Add to the hourly counts of decisions; housekeeping rolls the deltas up.
INSERT INTO campaigns_decisioncount (rule_id, hour, reason, count)
SELECT v.rule_id, date_trunc('hour', %(now)s::timestamptz), v.reason, v.count
FROM unnest(%(rule_id)s::bigint[], %(reason)s::text[], %(count)s::bigint[])
  AS v (rule_id, reason, count)
