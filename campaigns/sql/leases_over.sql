-- Of these locked mails, those whose lease is over. By primary key.
-- Worded against walks through an empty table (__init__.py).
SELECT id FROM campaigns_message
WHERE id = ANY(%(ids)s::bigint[])
  AND COALESCE(lease_until, 'infinity') < clock_timestamp()
