-- Follow merges to the surviving customers. By primary key.
WITH RECURSIVE step (asked, id, merged_into) AS (
  SELECT id, id, merged_into FROM campaigns_customer WHERE id = ANY(%(ids)s::bigint[])
  UNION ALL
  SELECT s.asked, c.id, c.merged_into
  FROM step s JOIN campaigns_customer c ON c.id = s.merged_into
)
SELECT asked, id FROM step WHERE merged_into IS NULL
