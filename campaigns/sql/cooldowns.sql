-- The cooldowns of locked customers that are not over. By primary key.
SELECT customer_id, rule_id, key, until
FROM campaigns_cooldown
WHERE customer_id = ANY(%(people)s::bigint[]) AND until > %(now)s::timestamptz
