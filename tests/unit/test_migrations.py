"""Migrations keep the promise that the release before runs on with their tables."""

import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

FOLDER = Path(__file__).parents[2] / "campaigns" / "migrations"
BEGINS = 6  # the promise holds for those after this one
NAMES = sorted(p.stem for p in FOLDER.glob("[0-9]*.py"))
PROMISED = [name for name in NAMES if int(name[:4]) > BEGINS]
HARMLESS_SQL = re.compile(
    r"\s*CREATE (FUNCTION|TABLE|SEQUENCE)\b"
    r"|ALTER TABLE \w+ SET \(fillfactor = \d+\)$"  # of pages to come; locks nobody out
    r"|\s*INSERT INTO campaigns_refusal\b"  # which only the new release reads
)
HARMLESS = (
    "CreateModel",
    "AddIndexAfresh",  # and not Django's: what is cut off has to be run again
    "RemoveIndexConcurrently",
    "AddConstraintNotValid",
    "ValidateConstraint",
    "AlterModelOptions",
)


def problems(operations):
    """Return what of these operations the release before cannot live with."""
    return [
        type(operation).__name__
        for operation in operations
        if type(operation).__name__ not in HARMLESS and not is_expanding(operation)
    ]


def is_expanding(operation):
    if isinstance(operation, migrations.AddField):
        field = operation.field
        many = isinstance(field, models.ManyToManyField)
        return many or field.null or field.db_default is not models.NOT_PROVIDED
    if isinstance(operation, migrations.RunSQL):
        return bool(HARMLESS_SQL.match(str(operation.sql)))
    return False


@pytest.mark.parametrize("name", PROMISED)
def test_a_migration_only_expands_or_says_since_when_nobody_reads_the_old_form(name):
    module = import_module(f"campaigns.migrations.{name}")
    found = problems(module.Migration.operations)
    # A contraction names the last release that used what it takes away:
    # LAST_USED_IN = "0.3.0", and two releases lie between.
    assert not found or re.fullmatch(
        r"\d+\.\d+\.\d+", getattr(module, "LAST_USED_IN", "")
    )


def test_the_migrations_make_one_line():
    for before, name in pairwise(NAMES):
        module = import_module(f"campaigns.migrations.{name}")
        assert ("campaigns", before) in module.Migration.dependencies


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("message", "x", models.TextField()),
        migrations.AddField("message", "x", models.TextField(default="")),
        migrations.RemoveField("message", "reason"),
        migrations.RenameField("message", "reason", "why"),
        migrations.AlterField("message", "reason", models.TextField()),
        migrations.AddIndex("message", models.Index(fields=["state"], name="x")),
        AddIndexConcurrently("message", models.Index(fields=["state"], name="x")),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY x ON campaigns_message (state)"),
        migrations.RunSQL("ALTER TABLE campaigns_message DROP COLUMN reason"),
        migrations.DeleteModel("message"),
    ],
    ids=lambda operation: f"{type(operation).__name__} {operation.describe()[:40]}",
)
def test_what_would_break_the_release_before_is_found(operation):
    assert problems([operation]) == [type(operation).__name__]


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("message", "x", models.TextField(null=True)),
        migrations.AddField("message", "x", models.TextField(db_default="")),
        migrations.RunSQL("CREATE TABLE campaigns_new (id bigint)"),
    ],
    ids=["may be null", "default in the database", "a new table"],
)
def test_what_the_release_before_lives_with_passes(operation):
    assert problems([operation]) == []
