-- Move mails, whose rows were locked when read, from the state that was read.
-- The lease ends with every move out of claimed and sending. Decisions do not read the
-- context; without a new one it stays. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_message m SET
  customer_id = v.customer_id, variant = v.variant,
  template_version_id = v.template_version_id, state = v.state, reason = v.reason,
  detail = v.detail::jsonb, not_before = v.not_before, attempt = v.attempt,
  token = v.token, address = v.address, address_hash = v.address_hash,
  provider_message_id = v.provider_message_id,
  context = COALESCE(v.context::jsonb, m.context),
  sending_at = v.sending_at, settled_at = v.settled_at, evidence_at = v.evidence_at,
  redriven_at = v.redriven_at,
  lease_until = CASE WHEN v.state IN ('claimed', 'sending') THEN m.lease_until END
FROM unnest(
       %(id)s::bigint[], %(old_state)s::text[], %(customer_id)s::bigint[],
       %(variant)s::int[], %(template_version_id)s::bigint[], %(state)s::text[],
       %(reason)s::text[], %(detail)s::text[], %(not_before)s::timestamptz[],
       %(attempt)s::int[], %(token)s::uuid[], %(address)s::text[],
       %(address_hash)s::bytea[], %(provider_message_id)s::text[], %(context)s::text[],
       %(sending_at)s::timestamptz[], %(settled_at)s::timestamptz[],
       %(evidence_at)s::timestamptz[], %(redriven_at)s::timestamptz[]
     ) AS v (id, old_state, customer_id, variant, template_version_id, state, reason,
             detail, not_before, attempt, token, address, address_hash,
             provider_message_id, context, sending_at, settled_at, evidence_at,
             redriven_at)
WHERE m.id = ANY(ARRAY[v.id]) AND m.state = v.old_state
