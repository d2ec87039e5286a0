-- Who mails are from; a handful of rows.
SELECT s.id, s.from_email, s.from_name, s.reply_to, s.company_name, s.postal_address
FROM campaigns_sender s
