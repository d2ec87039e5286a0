-- One decision at a time about one address, even one that nobody has yet.
SELECT pg_advisory_xact_lock(%(key)s::bigint)
