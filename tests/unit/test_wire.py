"""Parameters are written as PostgreSQL reads them, and as psycopg writes them."""
