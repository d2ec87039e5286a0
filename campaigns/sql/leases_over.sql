-- Of these locked mails, those whose lease is over. By primary key.
SELECT id FROM campaigns_message
WHERE id = ANY(%(ids)s::bigint[]) AND lease_until < clock_timestamp()
