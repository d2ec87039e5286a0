-- What answers say of the provider's health; every host reads it when it claims.
-- `failures` are those since the last good answer, if there was one (`recovered`).
-- Nothing is written while all is well: each settling would wait for this row.
UPDATE campaigns_provider SET
  failures = v.failures,
  open_until = CASE
    WHEN v.failures >= %(threshold)s::int THEN %(open_until)s::timestamptz
    WHEN %(recovered)s::bool THEN NULL
    ELSE campaigns_provider.open_until END,
  paused_until = GREATEST(paused_until, %(paused_until)s::timestamptz),
  pause_reason = CASE
    WHEN %(paused_until)s::timestamptz IS NULL THEN pause_reason
    ELSE %(pause_reason)s::text END
FROM (
  SELECT id, %(failures)s::int + CASE WHEN %(recovered)s::bool THEN 0 ELSE failures END
  FROM campaigns_provider WHERE id = %(provider)s::bigint
  FOR NO KEY UPDATE
) AS v (id, failures)
WHERE campaigns_provider.id = v.id
  AND (campaigns_provider.failures <> v.failures
       OR campaigns_provider.open_until IS NOT NULL
       OR %(paused_until)s::timestamptz IS NOT NULL)
