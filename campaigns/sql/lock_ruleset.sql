-- Wait until no decision is under way, and let none begin until the commit.
SELECT pg_advisory_xact_lock(%(lock)s::bigint)
