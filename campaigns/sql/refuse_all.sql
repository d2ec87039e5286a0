-- Keep that a locked customer refuses everything, what is made later too; the newest
-- refusal counts. By primary key.
INSERT INTO campaigns_refusal AS r (customer_id, refused_at, origin, wording)
VALUES (%(customer)s::bigint, %(now)s::timestamptz, %(origin)s::text, %(wording)s::text)
ON CONFLICT (customer_id) DO UPDATE SET
  refused_at = EXCLUDED.refused_at, origin = EXCLUDED.origin, wording = EXCLUDED.wording
