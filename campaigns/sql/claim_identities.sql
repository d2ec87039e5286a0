-- Claim names that nobody has, sorted, so that two claimers never wait for each other.
INSERT INTO campaigns_identity (namespace, value, customer_id)
SELECT n.namespace, n.value, n.customer_id
FROM unnest(%(namespace)s::int[], %(value)s::text[], %(customer_id)s::bigint[])
  AS n (namespace, value, customer_id)
ORDER BY n.namespace, n.value
ON CONFLICT DO NOTHING
