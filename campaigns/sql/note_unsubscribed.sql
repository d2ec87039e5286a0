-- The mail whose link was used, if it went to that address. By primary key.
UPDATE campaigns_message SET unsubscribed_at = LEAST(unsubscribed_at, %(now)s::timestamptz)
WHERE id = %(id)s::bigint AND address_hash = %(address_hash)s::bytea
