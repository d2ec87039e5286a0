-- How many marketing mails each address had since then. Uses message_cap_idx.
SELECT m.address_hash, count(*)
FROM campaigns_message m
WHERE m.address_hash = ANY(%(hashes)s::bytea[]) AND m.sending_at > %(since)s
  AND m.kind = 'marketing'
GROUP BY m.address_hash
