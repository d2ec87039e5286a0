-- Take up to `wanted` sends from a provider's bucket, if it is healthy; half open
-- (the breaker's time is over, its failures are not) it gives one.
WITH p AS (
  SELECT id, failures, open_until, burst,
    LEAST(burst::float8, tokens + rate_per_s * GREATEST(0, EXTRACT(
      EPOCH FROM %(now)s::timestamptz - COALESCE(tokens_at, %(now)s::timestamptz)))) AS have
  FROM campaigns_provider
  WHERE id = %(provider)s::bigint AND enabled
    AND (paused_until IS NULL OR paused_until <= %(now)s::timestamptz)
    AND (open_until IS NULL OR open_until <= %(now)s::timestamptz)
  FOR UPDATE
), g AS (
  SELECT id, have, LEAST(
    floor(have), %(wanted)s::int,
    CASE WHEN open_until IS NULL THEN %(wanted)s::int ELSE 1 END
  ) AS granted FROM p
)
UPDATE campaigns_provider c
SET tokens = g.have - g.granted, tokens_at = %(now)s::timestamptz
FROM g WHERE c.id = g.id AND g.granted >= 1
RETURNING g.granted::int
