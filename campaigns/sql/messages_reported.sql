-- The messages that provider events name, by our id or by the provider's.
-- By primary key, and by message_provider_idx.
-- Worded against walks through an empty table (__init__.py).
SELECT id, customer_id, state, address_hash, token, provider_message_id, address
FROM campaigns_message
WHERE id = ANY(%(ids)s::bigint[])
   OR provider_message_id = ANY(%(provider_ids)s::text[]) AND provider_message_id <> ''
ORDER BY id + 0
