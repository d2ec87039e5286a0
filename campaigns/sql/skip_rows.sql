-- Leave out, in the sequence of every table that numbers its own rows, what may have
-- been given away after the backup: processes keep versions by their numbers, and
-- links name topics.
SELECT setval(
  pg_get_serial_sequence(quote_ident(a.relname), 'id'),
  nextval(pg_get_serial_sequence(quote_ident(a.relname), 'id')) + %(skip)s::bigint)
FROM pg_class a
WHERE a.relkind = 'r' AND a.relnamespace = 'public'::regnamespace
  AND starts_with(a.relname, 'campaigns_')
  AND EXISTS (SELECT 1 FROM pg_attribute c WHERE c.attrelid = a.oid
              AND c.attname = 'id' AND c.attidentity <> '')
