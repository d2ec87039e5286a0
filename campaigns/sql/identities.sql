-- Who goes by these names. By primary key.
SELECT i.namespace, i.value, i.customer_id
FROM unnest(%(namespace)s::int[], %(value)s::text[]) AS n (namespace, value)
JOIN campaigns_identity i ON i.namespace = n.namespace AND i.value = n.value
