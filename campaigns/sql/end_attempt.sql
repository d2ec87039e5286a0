-- Note how a call ended; an ambiguous one may later prove accepted.
UPDATE campaigns_attempt SET
  state = %(state)s::text, ended_at = %(now)s::timestamptz, status = %(status)s::int, detail = %(detail)s::text
WHERE id = %(id)s::uuid AND state IN ('open', 'ambiguous')
