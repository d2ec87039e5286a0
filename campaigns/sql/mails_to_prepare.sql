-- What rendering needs of claimed mails; read without locks, checked under them.
SELECT m.id, m.version_id, m.template_version_id, m.kind, m.variant,
       m.token, m.provider_id,
       j.trigger_id, j.trigger_received_at, j.trigger_occurred_at, j.woken_by
FROM campaigns_message m
LEFT JOIN campaigns_journey j ON j.id = m.journey_id
WHERE m.id = ANY(%(ids)s::bigint[])
