-- Store events with the decisions that they led to.
INSERT INTO campaigns_event (
  id, customer_id, source_id, type, name, message_id, occurred_at, received_at,
  properties, context, traits, decisions, notes)
SELECT v.id, v.customer_id, v.source_id, v.type, v.name, v.message_id,
       v.occurred_at, %(now)s::timestamptz, v.properties::jsonb, v.context::jsonb,
       v.traits::jsonb, v.decisions::jsonb, v.notes::jsonb
FROM unnest(
       %(id)s::bigint[], %(customer_id)s::bigint[], %(source_id)s::bigint[],
       %(type)s::text[], %(name)s::text[],
       %(message_id)s::text[], %(occurred_at)s::timestamptz[], %(properties)s::text[],
       %(context)s::text[], %(traits)s::text[], %(decisions)s::text[], %(notes)s::text[]
     ) AS v (id, customer_id, source_id, type, name, message_id, occurred_at, properties, context,
             traits, decisions, notes)
