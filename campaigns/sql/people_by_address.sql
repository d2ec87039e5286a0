-- The customers of today who have one of these addresses, each in its normal form.
-- Uses customer_email_idx.
SELECT id, email FROM campaigns_customer
WHERE email = ANY(%(addresses)s::text[]) AND merged_into IS NULL
