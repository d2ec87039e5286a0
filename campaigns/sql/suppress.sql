-- Suppress addresses. One that is suppressed already stays so: only a later end
-- counts, and one that had run out begins anew. By suppression_once.
INSERT INTO campaigns_suppression AS s (
  address_hash, address, scope, topic_id, reason, origin, created_at, ends_at,
  lifted_by, lifted_reason)
SELECT v.address_hash, v.address,
       CASE WHEN v.topic_id IS NULL THEN 'all' ELSE 'topic' END,
       v.topic_id, v.reason, v.origin, %(now)s::timestamptz, v.ends_at, '', ''
FROM unnest(
       %(address_hash)s::bytea[], %(address)s::text[], %(topic_id)s::bigint[],
       %(reason)s::text[], %(origin)s::text[], %(ends_at)s::timestamptz[]
     ) AS v (address_hash, address, topic_id, reason, origin, ends_at)
ON CONFLICT (address_hash, reason, topic_id) WHERE lifted_at IS NULL
DO UPDATE SET
  ends_at = EXCLUDED.ends_at, origin = EXCLUDED.origin,
  created_at = CASE WHEN s.ends_at <= EXCLUDED.created_at
                    THEN EXCLUDED.created_at ELSE s.created_at END
WHERE s.ends_at IS NOT NULL
  AND (EXCLUDED.ends_at IS NULL OR EXCLUDED.ends_at > s.ends_at)
RETURNING s.address_hash, s.reason, s.topic_id
