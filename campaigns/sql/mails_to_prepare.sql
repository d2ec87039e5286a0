-- What rendering needs of claimed mails; read without locks, checked under them.
-- Worded against walks through an empty table (__init__.py).
SELECT m.id, m.version_id, m.template_version_id, m.kind, m.variant,
       m.token, m.provider_id,
       j.trigger_id, j.trigger_received_at, j.trigger_occurred_at, j.woken_by
FROM campaigns_message m
LEFT JOIN LATERAL (
  SELECT n.trigger_id, n.trigger_received_at, n.trigger_occurred_at, n.woken_by
  FROM campaigns_journey n WHERE n.id = m.journey_id
  OFFSET 0
) j ON true
WHERE m.id = ANY(%(ids)s::bigint[])
