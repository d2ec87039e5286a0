-- Which client each provider needs; a handful of rows.
SELECT id, kind FROM campaigns_provider
