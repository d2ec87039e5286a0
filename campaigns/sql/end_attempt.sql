-- Note how a call ended; an ambiguous one may later prove accepted.
UPDATE campaigns_attempt SET
  state = %(state)s, ended_at = %(now)s, status = %(status)s::int, detail = %(detail)s
WHERE id = %(id)s::uuid AND state IN ('open', 'ambiguous')
