-- What an answer says of the provider's health; every host reads it when it claims.
UPDATE campaigns_provider SET
  failures = CASE WHEN %(failed)s::bool THEN failures + 1 ELSE 0 END,
  open_until = CASE
    WHEN NOT %(failed)s::bool THEN NULL
    WHEN failures + 1 >= %(threshold)s::int THEN %(open_until)s::timestamptz
    ELSE open_until END,
  paused_until = GREATEST(paused_until, %(paused_until)s::timestamptz),
  pause_reason = CASE
    WHEN %(paused_until)s::timestamptz IS NULL THEN pause_reason
    ELSE %(pause_reason)s::text END
WHERE id = %(provider)s::bigint
