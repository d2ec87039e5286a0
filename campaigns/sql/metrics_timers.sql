-- For each lane: timers that wait and those overdue, counted to a limit, and the
-- oldest. In the order of timer_due_idx, so that no count reads the table.
SELECT l.lane,
  (SELECT count(*) FROM (
     SELECT FROM campaigns_timer t WHERE t.lane = l.lane
     ORDER BY t.due_at LIMIT %(limit)s::bigint) w),
  (SELECT count(*) FROM (
     SELECT FROM campaigns_timer t
     WHERE t.lane = l.lane AND t.due_at <= %(now)s::timestamptz
     ORDER BY t.due_at LIMIT %(limit)s::bigint) o),
  (SELECT min(t.due_at) FROM campaigns_timer t WHERE t.lane = l.lane)
FROM (VALUES (0), (1)) l (lane)
