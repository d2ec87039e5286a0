"""A migration that makes an index is run again after it was cut off."""

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

NAME = "message_unknown_idx"


def make_index():
    """Do the migration as `manage.py migrate` does."""
    loader = MigrationLoader(connection)
    key = ("campaigns", "0008_unknown")
    migration = loader.get_migration(*key)
    before = loader.project_state(key, at_end=False)
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(before, editor)


def is_valid():
    """Return whether queries may use it; None without one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE relname = %s",
            [NAME],
        )
        row = cursor.fetchone()
    return row and row[0]


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_was_cut_off_is_run_again(database_url):
    sql(f"DROP INDEX {NAME}")
    with psycopg.connect(database_url) as busy:
        busy.execute("LOCK campaigns_message IN ROW EXCLUSIVE MODE")  # as a writer
        sql("SET statement_timeout = '200ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            make_index()
        sql("RESET statement_timeout")
    try:
        assert is_valid() is False
        make_index()
        assert is_valid()
    finally:
        connection.close()
