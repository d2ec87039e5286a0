-- The providers that mails may go out by; a handful of rows.
SELECT id FROM campaigns_provider WHERE enabled ORDER BY name
