-- Which claims still have their token and time enough to send. By primary key.
-- The database's own clock: a lease must end for every host at once.
-- Worded against walks through an empty table (__init__.py).
SELECT m.id
FROM unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) AS c (id, token)
CROSS JOIN LATERAL (
  SELECT n.id FROM campaigns_message n
  WHERE n.id = c.id AND n.token = c.token AND n.state = 'claimed'
    AND COALESCE(n.lease_until, '-infinity') > clock_timestamp() + make_interval(secs => %(margin_s)s::float8)
  OFFSET 0
) m
