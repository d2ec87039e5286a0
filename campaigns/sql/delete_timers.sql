-- The journey waits no more. By primary key.
DELETE FROM campaigns_timer WHERE journey_id = ANY(%(journeys)s::bigint[])
