-- Write when a provider first said what of messages that are locked. LEAST passes
-- NULLs over, so any order of reports ends the same. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_message m SET
  delivered_at = LEAST(m.delivered_at, v.delivered_at),
  bounced_at = LEAST(m.bounced_at, v.bounced_at),
  opened_at = LEAST(m.opened_at, v.opened_at),
  clicked_at = LEAST(m.clicked_at, v.clicked_at),
  complained_at = LEAST(m.complained_at, v.complained_at),
  unsubscribed_at = LEAST(m.unsubscribed_at, v.unsubscribed_at),
  evidence_at = CASE WHEN v.evidence THEN COALESCE(m.evidence_at, %(now)s::timestamptz)
                     ELSE m.evidence_at END
FROM unnest(
       %(id)s::bigint[], %(evidence)s::bool[], %(delivered_at)s::timestamptz[],
       %(bounced_at)s::timestamptz[], %(opened_at)s::timestamptz[],
       %(clicked_at)s::timestamptz[], %(complained_at)s::timestamptz[],
       %(unsubscribed_at)s::timestamptz[]
     ) AS v (id, evidence, delivered_at, bounced_at, opened_at, clicked_at,
             complained_at, unsubscribed_at)
WHERE m.id = ANY(ARRAY[v.id])
