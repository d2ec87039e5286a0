-- Give names that this transaction claimed or locked to their person. By primary key.
UPDATE campaigns_identity i SET customer_id = n.customer_id
FROM unnest(%(namespace)s::int[], %(value)s::text[], %(customer_id)s::bigint[])
  AS n (namespace, value, customer_id)
WHERE i.namespace = n.namespace AND i.value = n.value
