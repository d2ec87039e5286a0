-- End mails whose lease is over and whose customer's row is gone: nobody else can
-- decide about them. Return their tokens and what they are now. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_message m SET
  state = CASE m.state WHEN 'sending' THEN 'unknown' ELSE 'cancelled' END,
  reason = CASE m.state WHEN 'sending' THEN 'no_answer' ELSE 'customer_gone' END,
  lease_until = NULL, settled_at = %(now)s::timestamptz
WHERE m.id = ANY(%(ids)s::bigint[])
  AND COALESCE(m.lease_until, 'infinity') < clock_timestamp()
RETURNING m.token, m.state
