-- Claim queued mails of one lane and provider, oldest first: a new token, a lease,
-- the attempt counted. Locked rows are passed over. Uses message_queue_idx.
WITH picked AS MATERIALIZED (
  SELECT m.id, m.not_before FROM campaigns_message m
  WHERE m.lane = %(lane)s::int AND m.not_before <= %(now)s::timestamptz AND m.not_before >= %(mark)s::timestamptz
    AND m.provider_id = %(provider)s::bigint
    AND m.attempt BETWEEN %(low)s::int AND %(high)s::int
  ORDER BY m.not_before
  LIMIT %(limit)s::bigint
  FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE campaigns_message m SET
    state = 'claimed', not_before = NULL, attempt = m.attempt + 1,
    token = gen_random_uuid(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s::float8)
  FROM picked p WHERE m.id = p.id AND m.state = 'queued'
  RETURNING m.id, m.token, m.customer_id, m.due_at, p.not_before
)
SELECT id, token, customer_id, not_before FROM claimed ORDER BY due_at, id
