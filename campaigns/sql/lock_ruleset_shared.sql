-- Decisions share the ruleset; publish, pause, resume and archive take it alone.
-- An advisory lock, not a table lock: a backup must not delay a stop.
SELECT pg_advisory_xact_lock_shared(%(lock)s::bigint)
