-- Put claimed mails back as if they had not been claimed. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_message m SET
  state = 'queued', not_before = %(now)s::timestamptz, lease_until = NULL, token = NULL,
  attempt = GREATEST(m.attempt - 1, 0)
FROM unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) AS v (id, token)
WHERE m.id = ANY(ARRAY[v.id]) AND m.token = v.token AND m.state = 'claimed'
