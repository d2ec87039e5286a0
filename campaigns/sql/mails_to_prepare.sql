-- What rendering needs of claimed mails; read without locks, checked under them.
SELECT m.id, m.customer_id, m.version_id, m.template_version_id, m.kind, m.step,
       m.variant, m.token,
       t.subject, t.preheader, t.html, t.text,
       j.trigger_id, j.trigger_received_at, j.trigger_occurred_at, j.woken_by,
       m.provider_id
FROM campaigns_message m
LEFT JOIN campaigns_templateversion t ON t.id = m.template_version_id
LEFT JOIN campaigns_journey j ON j.id = m.journey_id
WHERE m.id = ANY(%(ids)s::bigint[])
