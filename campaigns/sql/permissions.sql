-- What the gate asks of addresses and customers, one row for each that was asked.
-- Uses suppression_once, subscription_once_a_topic and consent_customer_idx.
SELECT ARRAY(
         SELECT DISTINCT s.reason FROM campaigns_suppression s
         WHERE s.address_hash = q.address_hash AND s.lifted_at IS NULL
           AND (s.ends_at IS NULL OR s.ends_at > %(now)s::timestamptz)
           AND (s.topic_id IS NULL OR s.topic_id = q.topic_id)),
       (SELECT b.subscribed FROM campaigns_subscription b
        WHERE b.customer_id = q.customer_id AND b.topic_id = q.topic_id),
       (SELECT c.granted FROM campaigns_consent c
        WHERE c.customer_id = q.customer_id AND c.topic_id = q.topic_id
        ORDER BY c.said_at DESC, c.granted LIMIT 1)
FROM unnest(
       %(customer_id)s::bigint[], %(address_hash)s::bytea[], %(topic_id)s::bigint[]
     ) WITH ORDINALITY AS q (customer_id, address_hash, topic_id, place)
ORDER BY q.place
