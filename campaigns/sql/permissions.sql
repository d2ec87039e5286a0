-- What the gate asks of addresses and customers, one row for each that was asked.
-- A choice about the topic counts unless everything was refused after it.
-- Uses suppression_once, subscription_once_a_topic and consent_customer_idx; refusals
-- and topics by primary key.
SELECT ARRAY(
         SELECT DISTINCT s.reason FROM campaigns_suppression s
         WHERE s.address_hash = q.address_hash AND s.lifted_at IS NULL
           AND (s.ends_at IS NULL OR s.ends_at > %(now)s::timestamptz)
           AND (s.topic_id IS NULL OR s.topic_id = q.topic_id)),
       CASE WHEN refused.at IS NULL THEN chosen.subscribed
            ELSE COALESCE(chosen.subscribed AND chosen.at >= refused.at, false) END,
       (SELECT c.granted FROM campaigns_consent c
        WHERE c.customer_id = q.customer_id AND c.topic_id = q.topic_id
        ORDER BY c.said_at DESC, c.granted LIMIT 1),
       COALESCE((SELECT t.opt_in FROM campaigns_topic t WHERE t.id = q.topic_id), false)
FROM unnest(
       %(customer_id)s::bigint[], %(address_hash)s::bytea[], %(topic_id)s::bigint[]
     ) WITH ORDINALITY AS q (customer_id, address_hash, topic_id, place)
LEFT JOIN LATERAL (
  SELECT b.subscribed, b.changed_at AS at FROM campaigns_subscription b
  WHERE b.customer_id = q.customer_id AND b.topic_id = q.topic_id
  OFFSET 0
) chosen ON true
LEFT JOIN LATERAL (
  SELECT r.refused_at AS at FROM campaigns_refusal r WHERE r.customer_id = q.customer_id
  OFFSET 0
) refused ON true
ORDER BY q.place
