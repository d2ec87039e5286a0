-- Give back what was taken from a provider's bucket and not used.
UPDATE campaigns_provider SET tokens = LEAST(burst, tokens + %(unused)s::float8)
WHERE id = %(provider)s::bigint
