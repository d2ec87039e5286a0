"""docs/scale.md speaks of the code as it is."""

import re
from pathlib import Path

import pytest
from django.apps import apps

from campaigns.watching.doctor_database import OTHERS, needed_connections

TEXT = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
CITUS = TEXT[TEXT.index("## The way on") :]
SQL = Path(__file__).parents[2] / "campaigns" / "sql"
NO_ROWS_IN_PRODUCTION = {"recordedorder"}
TABLES = sorted(
    {
        model._meta.db_table.removeprefix("campaigns_")
        for model in apps.get_app_config("campaigns").get_models()
    }
    - NO_ROWS_IN_PRODUCTION
)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_distributed_somehow(table):
    assert f"`{table}`" in CITUS


def test_statements_that_cross_shards_exist():
    (paragraph,) = re.findall(r"^\*\*Statements that.*$", CITUS, re.MULTILINE)
    named = set(re.findall(r"`([a-z_0-9]+)`", paragraph)) - {"address_hash"}
    assert len(named) > 8
    assert named <= {path.stem for path in SQL.glob("*.sql")}


def test_the_formula_is_the_doctors(settings):
    settings.WEB_WORKERS, settings.WEB_THREADS = 2, 16
    settings.CLUSTER_WORKERS, settings.CLUSTER_FEEDBACK_WORKERS = 2, 1
    assert f"CLUSTER_FEEDBACK_WORKERS + {OTHERS}\n" in TEXT
    assert f"By default that is {needed_connections()} a host" in TEXT
