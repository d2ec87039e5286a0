-- The keel's test reads this order back and simulates it.
INSERT INTO campaigns_recordedorder (ordinal, now, kind, payload)
VALUES (nextval('campaigns_ordinals'), %(now)s::timestamptz, %(kind)s::text, %(payload)s::jsonb)
