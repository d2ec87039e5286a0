-- Take the next block of ids; the value is the block's last id.
SELECT nextval('campaigns_ids')
