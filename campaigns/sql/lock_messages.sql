-- Lock messages in the order of their ids, so that two reports of one wait for
-- each other here and not in the keys of their events. By primary key.
SELECT id FROM campaigns_message WHERE id = ANY(%(ids)s::bigint[])
ORDER BY id FOR NO KEY UPDATE
