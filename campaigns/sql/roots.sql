-- Follow merges to the surviving customers. By primary key, one by one: a join
-- would rather read the whole table as soon as some dozens are asked for.
WITH RECURSIVE step (asked, id, merged_into) AS (
  SELECT id, id, merged_into FROM campaigns_customer WHERE id = ANY(%(ids)s::bigint[])
  UNION ALL
  SELECT s.asked, c.id, c.merged_into
  FROM step s CROSS JOIN LATERAL (
    SELECT n.id, n.merged_into FROM campaigns_customer n
    WHERE n.id = s.merged_into LIMIT 1
  ) c
  WHERE s.merged_into IS NOT NULL
)
SELECT asked, id FROM step WHERE merged_into IS NULL
