-- Decisions share the ruleset; publish, pause, resume and archive take it alone.
-- An advisory lock, not a table lock: a backup must not delay a stop.
-- Every statement of a decision goes by keys, so the planner may not fall back on
-- reading whole tables: plans are made while tables are small and kept for long.
SELECT pg_advisory_xact_lock_shared(%(lock)s::bigint),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true)
