-- Note how calls ended; an ambiguous one may later prove accepted. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_attempt a SET
  state = v.state, ended_at = %(now)s::timestamptz, status = v.status, detail = v.detail
FROM unnest(
       %(id)s::uuid[], %(state)s::text[], %(status)s::int[], %(detail)s::text[]
     ) AS v (id, state, status, detail)
WHERE a.id = ANY(ARRAY[v.id]) AND a.state IN ('open', 'ambiguous')
