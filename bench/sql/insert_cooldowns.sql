-- The cooldowns of a batch, blindly.
INSERT INTO campaigns_cooldown (customer_id, rule_id, key, until)
SELECT * FROM unnest(%(customer_id)s::bigint[], %(rule_id)s::bigint[],
                     %(key)s::text[], %(until)s::timestamptz[])
