"""A migration that makes or drops an index is run again after it was cut off."""

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

NAME = "message_unknown_idx"


def migrate(name):
    """Do the migration as `manage.py migrate` does."""
    loader = MigrationLoader(connection)
    key = ("campaigns", name)
    migration = loader.get_migration(*key)
    before = loader.project_state(key, at_end=False)
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(before, editor)


def make_index():
    migrate("0008_unknown")


def is_valid(name=NAME):
    """Return whether queries may use it; None without one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE relname = %s",
            [name],
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


@pytest.mark.django_db(transaction=True)
def test_a_removal_that_was_cut_off_is_run_again(database_url):
    name = "conversion_rule_idx"
    sql(f"CREATE INDEX {name} ON campaigns_conversion (rule_id, occurred_at)")
    with psycopg.connect(database_url) as busy:
        busy.execute("LOCK campaigns_conversion IN ROW EXCLUSIVE MODE")  # as a writer
        sql("SET statement_timeout = '200ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            migrate("0012_unread")
        sql("RESET statement_timeout")
    try:
        assert is_valid(name) is False
        migrate("0012_unread")
        assert is_valid(name) is None
        migrate("0012_unread")
    finally:
        connection.close()
