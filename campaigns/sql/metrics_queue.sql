-- For each lane: mails that wait to be sent, counted to a limit, and since when the
-- first of them could have been. In the order of message_queue_idx.
SELECT l.lane,
  (SELECT count(*) FROM (
     SELECT FROM campaigns_message m WHERE m.lane = l.lane AND m.not_before IS NOT NULL
     ORDER BY m.not_before LIMIT %(limit)s::bigint) w),
  (SELECT min(m.not_before) FROM campaigns_message m WHERE m.lane = l.lane)
FROM (VALUES (0), (1)) l (lane)
