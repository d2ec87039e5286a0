-- A report proves that calls were taken whose answer never came. By primary key.
UPDATE campaigns_attempt SET state = 'accepted'
WHERE id = ANY(%(ids)s::uuid[]) AND state = 'ambiguous'
