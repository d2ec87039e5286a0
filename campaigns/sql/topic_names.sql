-- What the lists are called that mails belong to; a handful of rows.
SELECT id, name FROM campaigns_topic
