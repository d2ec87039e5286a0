-- Events by id and time of receipt, which prunes to their partitions. Uses
-- event_recent_idx.
-- Worded against walks through an empty table (__init__.py).
SELECT e.id, e.name, e.properties, e.context, e.occurred_at
FROM unnest(%(id)s::bigint[], %(received_at)s::timestamptz[]) AS r (id, received_at)
CROSS JOIN LATERAL (
  SELECT v.id, v.name, v.properties, v.context, v.occurred_at
  FROM campaigns_event v WHERE v.id = r.id AND v.received_at = r.received_at
  OFFSET 0
) e
