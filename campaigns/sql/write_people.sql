-- Insert new customers and update changed ones, locked before.
INSERT INTO campaigns_customer (
  id, born_as, created_at, bucket, user_id, email, email_said_at, email_trusted,
  traits, trait_times, time_zone, locale, merged_ids, merged_into, updated_at)
SELECT v.id, v.born_as, v.created_at, v.bucket, v.user_id, v.email, v.email_said_at,
       v.email_trusted, v.traits::jsonb, v.trait_times::jsonb, v.time_zone, v.locale,
       v.merged_ids::bigint[], v.merged_into, %(now)s::timestamptz
FROM unnest(
       %(id)s::bigint[], %(born_as)s::text[], %(created_at)s::timestamptz[],
       %(bucket)s::int[], %(user_id)s::text[], %(email)s::text[],
       %(email_said_at)s::timestamptz[], %(email_trusted)s::bool[],
       %(traits)s::text[], %(trait_times)s::text[], %(time_zone)s::text[],
       %(locale)s::text[], %(merged_ids)s::text[], %(merged_into)s::bigint[]
     ) AS v (id, born_as, created_at, bucket, user_id, email, email_said_at,
             email_trusted, traits, trait_times, time_zone, locale, merged_ids,
             merged_into)
ON CONFLICT (id) DO UPDATE SET
  user_id = EXCLUDED.user_id, email = EXCLUDED.email,
  email_said_at = EXCLUDED.email_said_at, email_trusted = EXCLUDED.email_trusted,
  traits = EXCLUDED.traits, trait_times = EXCLUDED.trait_times,
  time_zone = EXCLUDED.time_zone, locale = EXCLUDED.locale,
  merged_ids = EXCLUDED.merged_ids, merged_into = EXCLUDED.merged_into,
  updated_at = EXCLUDED.updated_at
