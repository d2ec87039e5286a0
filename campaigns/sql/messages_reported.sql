-- The messages that provider events name, by our id or by the provider's.
-- By primary key, and by message_provider_idx.
SELECT id, customer_id, state, address_hash, token, provider_message_id
FROM campaigns_message WHERE id = ANY(%(ids)s::bigint[])
UNION
SELECT id, customer_id, state, address_hash, token, provider_message_id
FROM campaigns_message
WHERE provider_message_id = ANY(%(provider_ids)s::text[]) AND provider_message_id <> ''
ORDER BY id
