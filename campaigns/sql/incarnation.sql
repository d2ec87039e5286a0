-- Which database this is, in parts that change when a backup takes its place: the
-- server's identity (by a function of ours: not every server tells it), its timeline
-- (recovery to a point in time, and failover, begin another), the oids of database
-- and table (pg_restore makes new ones). First what was noted, if there is a row.
SELECT s.incarnation, campaigns_server(),
       CASE WHEN pg_is_in_recovery() THEN '-'
            ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
       (SELECT oid FROM pg_database WHERE datname = current_database())::bigint,
       s.tableoid::bigint
FROM campaigns_ingeststate s WHERE s.id = 1
