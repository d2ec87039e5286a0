-- The words of claimed mails, each version once. By primary keys.
SELECT t.id, t.subject, t.preheader, t.html, t.text
FROM campaigns_templateversion t
WHERE t.id = ANY(ARRAY(
  SELECT m.template_version_id FROM campaigns_message m
  WHERE m.id = ANY(%(ids)s::bigint[])))
