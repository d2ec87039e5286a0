-- Lock and read the mails of people's open journeys that are not settled.
-- Uses journey_watched_idx, then message_once. The row lock keeps claim and rescue
-- away, which pass locked rows over.
-- Worded against walks through an empty table (__init__.py).
SELECT j.customer_id, m.customer_id, m.id, m.journey_id, m.step, m.revision, m.rule_id,
       m.version_id, m.kind, m.lane, m.variant, m.template_version_id, m.provider_id,
       m.state, m.due_at, m.created_at, m.reason, m.detail, m.not_before, m.not_after,
       m.attempt, m.token, m.address, m.address_hash, m.provider_message_id,
       m.sending_at, m.settled_at, m.evidence_at, m.redriven_at
FROM (
  SELECT w.id, w.customer_id, w.ended_at FROM campaigns_journey w
  WHERE w.customer_id = ANY(%(people)s::bigint[]) AND w.watched_until IS NOT NULL
  OFFSET 0
) j
JOIN campaigns_message m ON m.journey_id = ANY(ARRAY[j.id])
WHERE j.ended_at IS NULL AND m.state IN ('queued', 'claimed', 'sending', 'held')
ORDER BY m.id + 0
FOR NO KEY UPDATE OF m
