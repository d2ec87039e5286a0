-- A cooldown never ends earlier than was promised. By primary key.
INSERT INTO campaigns_cooldown (customer_id, rule_id, key, until)
SELECT v.customer_id, v.rule_id, v.key, v.until
FROM unnest(
       %(customer_id)s::bigint[], %(rule_id)s::bigint[], %(key)s::text[],
       %(until)s::timestamptz[]
     ) AS v (customer_id, rule_id, key, until)
ON CONFLICT (customer_id, rule_id, key) DO UPDATE SET
  until = GREATEST(campaigns_cooldown.until, EXCLUDED.until)
