-- How many marketing mails each address had, or may have had, since then: what was
-- refused for good reached nobody. Uses message_cap_idx.
SELECT m.address_hash, count(*)
FROM campaigns_message m
WHERE m.address_hash = ANY(%(hashes)s::bytea[]) AND m.sending_at > %(since)s::timestamptz
  AND m.kind = 'marketing' AND m.state IN ('sending', 'sent', 'unknown')
GROUP BY m.address_hash
