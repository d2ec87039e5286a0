-- The newest mail handed over for each address before a time. Uses message_cap_idx.
SELECT q.place, m.id, m.customer_id, m.state, m.address_hash, m.token,
       m.provider_message_id, m.address, m.sending_at
FROM unnest(%(address_hash)s::bytea[], %(until)s::timestamptz[])
  WITH ORDINALITY AS q (address_hash, until, place)
CROSS JOIN LATERAL (
  SELECT * FROM campaigns_message n
  WHERE n.address_hash = q.address_hash AND n.sending_at <= q.until
  ORDER BY n.sending_at DESC LIMIT 1
) m
ORDER BY q.place
