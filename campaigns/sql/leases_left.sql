-- Which claims still have their token and time enough to send. By primary key.
-- The database's own clock: a lease must end for every host at once.
SELECT m.id FROM campaigns_message m
JOIN unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) AS c (id, token)
  ON c.id = m.id AND c.token = m.token
WHERE m.state = 'claimed'
  AND m.lease_until > clock_timestamp() + make_interval(secs => %(margin_s)s::float8)
