-- When the first timer of each lane is due, transactional and marketing, and the time.
-- Each part reads the first entry of timer_due_idx behind the claimer's mark.
SELECT
  (SELECT t.due_at FROM campaigns_timer t
   WHERE t.lane = 0 AND t.due_at >= %(urgent_mark)s::timestamptz
   ORDER BY t.due_at LIMIT 1),
  (SELECT t.due_at FROM campaigns_timer t
   WHERE t.lane = 1 AND t.due_at >= %(mark)s::timestamptz
   ORDER BY t.due_at LIMIT 1),
  clock_timestamp()
