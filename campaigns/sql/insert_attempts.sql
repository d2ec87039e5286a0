-- Note each call before it is made; its id is the claim's token.
INSERT INTO campaigns_attempt (id, message_id, number, provider_id, state, started_at, detail)
SELECT v.id, v.message_id, v.number, v.provider_id, 'open', %(now)s::timestamptz, ''
FROM unnest(%(id)s::uuid[], %(message_id)s::bigint[], %(number)s::int[],
            %(provider_id)s::bigint[]) AS v (id, message_id, number, provider_id)
