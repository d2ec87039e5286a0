-- The topics that a choice speaks of: one, or all of them. By primary key.
SELECT id FROM campaigns_topic
WHERE %(topic)s::bigint IS NULL OR id = %(topic)s::bigint
ORDER BY id
