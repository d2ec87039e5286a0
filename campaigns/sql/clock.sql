-- The time, read after the locks before it: it moves within a transaction.
SELECT clock_timestamp()
