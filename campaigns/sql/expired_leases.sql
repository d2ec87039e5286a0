-- Claims whose lease is over, oldest first. Uses message_lease_idx.
SELECT id, customer_id FROM campaigns_message
WHERE lease_until < clock_timestamp()
ORDER BY lease_until
LIMIT %(limit)s::bigint
