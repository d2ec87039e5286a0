-- Keep what is new; either key alone makes an event a repeat.
INSERT INTO campaigns_deliveryevent (
  id_key, content_key, message_id, type, occurred_at, received_at, address_hash, url,
  machine, detail)
SELECT v.id_key, v.content_key, v.message_id, v.type, v.occurred_at,
       %(received_at)s::timestamptz, v.address_hash, v.url, v.machine, v.detail::jsonb
FROM unnest(
       %(id_key)s::uuid[], %(content_key)s::uuid[], %(message_id)s::bigint[],
       %(type)s::text[], %(occurred_at)s::timestamptz[], %(address_hash)s::bytea[],
       %(url)s::text[], %(machine)s::bool[], %(detail)s::text[]
     ) AS v (id_key, content_key, message_id, type, occurred_at, address_hash, url,
             machine, detail)
ON CONFLICT DO NOTHING
RETURNING content_key
