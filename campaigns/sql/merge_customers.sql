-- Move what a merged customer still owned and the decision did not load: names,
-- cooldowns that are over are left, consents stay proofs of who gave them.
-- Worded against walks through an empty table (__init__.py).
WITH pair AS MATERIALIZED (
  SELECT * FROM unnest(%(loser)s::bigint[], %(winner)s::bigint[]) AS p (loser, winner)
), names AS (
  UPDATE campaigns_identity i SET customer_id = p.winner
  FROM pair p WHERE i.customer_id = ANY(ARRAY[p.loser])
), gone AS (
  DELETE FROM campaigns_cooldown c USING pair p WHERE c.customer_id = ANY(ARRAY[p.loser])
), said AS (
  DELETE FROM campaigns_subscription s USING pair p
  WHERE s.customer_id = ANY(ARRAY[p.loser])
  RETURNING p.winner, s.topic_id, s.subscribed, s.changed_at, s.origin
), newest AS (
  SELECT DISTINCT ON (winner, topic_id) * FROM said
  ORDER BY winner, topic_id, subscribed, changed_at DESC
), consents AS (
  UPDATE campaigns_consent c SET customer_id = p.winner
  FROM pair p WHERE c.customer_id = ANY(ARRAY[p.loser])
)
INSERT INTO campaigns_subscription AS s (customer_id, topic_id, subscribed, changed_at, origin)
SELECT winner, topic_id, subscribed, changed_at, origin FROM newest
ON CONFLICT (customer_id, topic_id) DO UPDATE SET
  subscribed = s.subscribed AND EXCLUDED.subscribed,
  changed_at = GREATEST(s.changed_at, EXCLUDED.changed_at),
  origin = CASE WHEN s.subscribed THEN EXCLUDED.origin ELSE s.origin END
