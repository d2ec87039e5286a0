-- The ruleset's number and the dedupe generation, read after their lock was had.
SELECT ruleset, generation, clock_timestamp() FROM campaigns_ingeststate WHERE id = 1
