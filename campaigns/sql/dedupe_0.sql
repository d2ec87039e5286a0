-- Take keys that neither generation knows; the current one is 0. Sorted: no deadlock.
INSERT INTO campaigns_dedupe_0 (k)
SELECT i.k FROM unnest(%(keys)s::uuid[]) AS i (k)
WHERE (SELECT true FROM campaigns_dedupe_1 o WHERE o.k = i.k) IS NULL
ORDER BY i.k
ON CONFLICT DO NOTHING
RETURNING uuid_send(k)
