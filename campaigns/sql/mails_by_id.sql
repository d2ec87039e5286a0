-- Lock and read mails by their ids. By primary key.
SELECT m.customer_id, m.id, m.journey_id, m.step, m.revision, m.rule_id, m.version_id,
       m.kind, m.lane, m.variant, m.template_version_id, m.provider_id, m.state,
       m.due_at, m.created_at, m.reason, m.detail, m.not_before, m.not_after,
       m.attempt, m.token, m.address, m.address_hash, m.provider_message_id,
       m.sending_at, m.settled_at, m.evidence_at, m.redriven_at
FROM campaigns_message m
WHERE m.id = ANY(%(ids)s::bigint[])
ORDER BY m.id
FOR NO KEY UPDATE
