-- Claim a provider's queued mails, transactional ones first, then oldest first: a new
-- token, a lease, the attempt counted, and one send of the provider's bucket for each.
-- Nothing is claimed of a provider that is paused or broken; half open (the breaker's
-- time is over, its failures are not) it gets one mail. The provider's row is locked
-- first; mails that others hold are passed over. Uses message_queue_idx.
-- Worded against walks through an empty table (__init__.py).
WITH p AS MATERIALIZED (
  SELECT id, open_until, LEAST(burst::float8, tokens + rate_per_s * GREATEST(0, EXTRACT(
      EPOCH FROM %(now)s::timestamptz - COALESCE(tokens_at, %(now)s::timestamptz)))) AS have
  FROM campaigns_provider
  WHERE id = %(provider)s::bigint AND enabled
    AND (paused_until IS NULL OR paused_until <= %(now)s::timestamptz)
    AND (open_until IS NULL OR open_until <= %(now)s::timestamptz)
  FOR NO KEY UPDATE
), g AS MATERIALIZED (
  SELECT LEAST(
    floor(have), %(wanted)s::int,
    CASE WHEN open_until IS NULL THEN %(wanted)s::int ELSE 1 END
  )::bigint AS granted FROM p
), urgent AS MATERIALIZED (
  SELECT m.id, m.not_before FROM campaigns_message m
  WHERE m.lane = 0 AND m.not_before <= %(now)s::timestamptz AND m.not_before >= %(urgent_mark)s::timestamptz
    AND m.provider_id = %(provider)s::bigint
    AND m.attempt BETWEEN %(low)s::int AND %(high)s::int
  ORDER BY m.not_before
  LIMIT COALESCE((SELECT granted FROM g), 0)
  FOR UPDATE SKIP LOCKED
), rest AS MATERIALIZED (
  SELECT m.id, m.not_before FROM campaigns_message m
  WHERE m.lane = 1 AND m.not_before <= %(now)s::timestamptz AND m.not_before >= %(mark)s::timestamptz
    AND m.provider_id = %(provider)s::bigint
    AND m.attempt BETWEEN %(low)s::int AND %(high)s::int
  ORDER BY m.not_before
  LIMIT COALESCE((SELECT granted FROM g), 0) - (SELECT count(*) FROM urgent)
  FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
  SELECT id, not_before FROM urgent UNION ALL SELECT id, not_before FROM rest
), claimed AS (
  UPDATE campaigns_message m SET
    state = 'claimed', not_before = NULL, attempt = m.attempt + 1,
    token = gen_random_uuid(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s::float8)
  FROM picked p WHERE m.id = ANY(ARRAY[p.id]) AND m.state = 'queued'
  RETURNING m.id, m.token, m.customer_id, m.lane, m.due_at, p.not_before
), spent AS (
  UPDATE campaigns_provider c
  SET tokens = p.have - k.n, tokens_at = %(now)s::timestamptz
  FROM p, (SELECT count(*) AS n FROM picked) k
  WHERE c.id = p.id AND k.n > 0
)
SELECT id, token, customer_id, lane, not_before FROM claimed ORDER BY lane, due_at, id
