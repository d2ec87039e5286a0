-- Events by id and time of receipt, which prunes to their partitions. Uses event_id_idx.
SELECT e.id, e.name, e.properties, e.context, e.occurred_at
FROM unnest(%(id)s::bigint[], %(received_at)s::timestamptz[]) AS r (id, received_at)
JOIN campaigns_event e ON e.id = r.id AND e.received_at = r.received_at
