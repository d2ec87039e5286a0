-- Read customers without locking them. By primary key.
SELECT id, born_as, created_at, bucket, user_id, email, email_said_at, email_trusted,
       traits, trait_times, time_zone, locale, merged_ids, merged_into
FROM campaigns_customer
WHERE id = ANY(%(ids)s::bigint[])
