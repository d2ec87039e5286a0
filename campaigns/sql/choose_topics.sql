-- Keep a locked customer's choice about topics, and the proof of it; what was
-- chosen already is left alone, but for a yes that everything was refused after. By
-- subscription_once_a_topic and the refusal's primary key.
WITH chosen AS (
  INSERT INTO campaigns_subscription AS s (
    customer_id, topic_id, subscribed, changed_at, origin)
  SELECT %(customer)s::bigint, t.id, %(subscribed)s::bool, %(now)s::timestamptz,
         %(origin)s::text
  FROM unnest(%(topics)s::bigint[]) AS t (id)
  ON CONFLICT (customer_id, topic_id) DO UPDATE SET
    subscribed = EXCLUDED.subscribed, changed_at = EXCLUDED.changed_at,
    origin = EXCLUDED.origin
  WHERE s.subscribed <> EXCLUDED.subscribed
    OR EXCLUDED.subscribed AND s.changed_at < (
      SELECT r.refused_at FROM campaigns_refusal r WHERE r.customer_id = s.customer_id)
  RETURNING topic_id
)
INSERT INTO campaigns_consent (customer_id, topic_id, granted, said_at, origin, wording)
SELECT %(customer)s::bigint, topic_id, %(subscribed)s::bool, %(now)s::timestamptz,
       %(origin)s::text, %(wording)s::text
FROM chosen
RETURNING topic_id
