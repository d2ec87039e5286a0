-- Which messages these attempts were made for. By primary key.
SELECT id, message_id FROM campaigns_attempt WHERE id = ANY(%(ids)s::uuid[])
