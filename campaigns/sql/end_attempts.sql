-- Note how calls ended; an ambiguous one may later prove accepted. By primary key.
UPDATE campaigns_attempt a SET
  state = v.state, ended_at = %(now)s::timestamptz, status = v.status, detail = v.detail
FROM unnest(
       %(id)s::uuid[], %(state)s::text[], %(status)s::int[], %(detail)s::text[]
     ) AS v (id, state, status, detail)
WHERE a.id = v.id AND a.state IN ('open', 'ambiguous')
