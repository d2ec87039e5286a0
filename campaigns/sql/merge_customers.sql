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
), refused AS (
  DELETE FROM campaigns_refusal r USING pair p WHERE r.customer_id = ANY(ARRAY[p.loser])
  RETURNING p.winner, r.refused_at, r.origin, r.wording
), refusals AS (
  INSERT INTO campaigns_refusal AS r (customer_id, refused_at, origin, wording)
  SELECT DISTINCT ON (winner) winner, refused_at, origin, wording FROM refused
  ORDER BY winner, refused_at DESC
  ON CONFLICT (customer_id) DO UPDATE SET
    refused_at = EXCLUDED.refused_at, origin = EXCLUDED.origin, wording = EXCLUDED.wording
  WHERE EXCLUDED.refused_at > r.refused_at
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
