-- Stored webhooks that wait, since when the first does, when the last one came; how
-- long the oldest transaction of this database runs, in seconds. Uses
-- webhookbatch_pending_idx and webhookbatch_received_idx.
SELECT
  (SELECT count(*) FROM (
     SELECT FROM campaigns_webhookbatch WHERE pending_at IS NOT NULL
     ORDER BY pending_at LIMIT %(limit)s::bigint) w),
  (SELECT received_at FROM campaigns_webhookbatch WHERE pending_at IS NOT NULL
   ORDER BY pending_at LIMIT 1),
  (SELECT max(received_at) FROM campaigns_webhookbatch),
  (SELECT EXTRACT(EPOCH FROM max(clock_timestamp() - xact_start))::float8
   FROM pg_stat_activity
   WHERE datname = current_database() AND pid <> pg_backend_pid())
