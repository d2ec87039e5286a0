-- Give names that this transaction claimed or locked to their person. By primary key.
-- Worded against walks through an empty table (__init__.py).
UPDATE campaigns_identity i SET customer_id = n.customer_id
FROM unnest(%(namespace)s::int[], %(value)s::text[], %(customer_id)s::bigint[])
  AS n (namespace, value, customer_id)
WHERE i.namespace = ANY(ARRAY[n.namespace]) AND i.value = ANY(ARRAY[n.value])
