-- Take keys that neither generation knows, the current one being 1 (sorted: no deadlock),
-- and say who goes by these names, in their order. By primary keys.
WITH taken AS (
  INSERT INTO campaigns_dedupe_1 (k)
  SELECT i.k FROM unnest(%(keys)s::uuid[]) AS i (k)
  WHERE (SELECT true FROM campaigns_dedupe_0 o WHERE o.k = i.k) IS NULL
  ORDER BY i.k
  ON CONFLICT DO NOTHING
  RETURNING k
)
SELECT s.ruleset, s.generation, clock_timestamp(),
       ARRAY(SELECT uuid_send(t.k) FROM taken t),
       ARRAY(SELECT (SELECT i.customer_id FROM campaigns_identity i
                     WHERE i.namespace = n.namespace AND i.value = n.value)
             FROM unnest(%(namespace)s::int[], %(value)s::text[]) WITH ORDINALITY
               AS n (namespace, value, place)
             ORDER BY n.place)
FROM campaigns_ingeststate s WHERE s.id = 1
