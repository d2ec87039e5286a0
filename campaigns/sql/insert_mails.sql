-- Plan mails; message_once is the alarm if a step were ever to make two.
INSERT INTO campaigns_message (
  id, customer_id, journey_id, step, revision, purpose, rule_id, version_id, kind, lane,
  variant, template_version_id, provider_id, state, reason, detail, due_at, not_before,
  not_after, attempt, address, provider_message_id, created_at)
SELECT v.id, v.customer_id, v.journey_id, v.step, v.revision, 'journey', v.rule_id,
       v.version_id, v.kind, v.lane, v.variant, v.template_version_id, v.provider_id,
       v.state, v.reason, v.detail::jsonb, v.due_at, v.not_before, v.not_after, 0, '',
       '', v.created_at
FROM unnest(
       %(id)s::bigint[], %(customer_id)s::bigint[], %(journey_id)s::bigint[],
       %(step)s::int[], %(revision)s::int[], %(rule_id)s::bigint[],
       %(version_id)s::bigint[], %(kind)s::text[], %(lane)s::int[], %(variant)s::int[],
       %(template_version_id)s::bigint[], %(provider_id)s::bigint[], %(state)s::text[],
       %(reason)s::text[], %(detail)s::text[], %(due_at)s::timestamptz[],
       %(not_before)s::timestamptz[], %(not_after)s::timestamptz[],
       %(created_at)s::timestamptz[]
     ) AS v (id, customer_id, journey_id, step, revision, rule_id, version_id, kind,
             lane, variant, template_version_id, provider_id, state, reason, detail,
             due_at, not_before, not_after, created_at)
