-- Mails in hands, held and unknown, counted to a limit, and since when the oldest
-- unknown one. Each by an index that holds only those: message_lease_idx,
-- message_held_idx, message_unknown_idx, and in its order.
SELECT
  (SELECT count(*) FROM (
     SELECT FROM campaigns_message WHERE lease_until IS NOT NULL
     ORDER BY lease_until LIMIT %(limit)s::bigint) l),
  (SELECT count(*) FROM (
     SELECT FROM campaigns_message WHERE state = 'held'
     ORDER BY rule_id, id LIMIT %(limit)s::bigint) h),
  (SELECT count(*) FROM (
     SELECT FROM campaigns_message WHERE state = 'unknown'
     ORDER BY settled_at LIMIT %(limit)s::bigint) u),
  (SELECT min(settled_at) FROM campaigns_message WHERE state = 'unknown')
