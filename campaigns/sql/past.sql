-- Each person's newest events of the names asked for. Uses event_history_idx;
-- no event is received before it occurred, so older partitions are pruned.
SELECT q.person, e.id, e.name, e.occurred_at, e.properties, e.received_at
FROM unnest(
       %(person)s::bigint[], %(member)s::bigint[], %(name)s::text[], %(since)s::timestamptz[]
     ) AS q (person, member, name, since)
CROSS JOIN LATERAL (
  SELECT v.id, v.name, v.occurred_at, v.properties, v.received_at
  FROM campaigns_event v
  WHERE v.customer_id = q.member AND v.name = q.name
    AND v.occurred_at >= q.since AND v.received_at >= q.since
  ORDER BY v.occurred_at DESC
  LIMIT %(limit)s::bigint
) e
