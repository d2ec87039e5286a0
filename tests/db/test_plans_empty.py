"""No hot statement is planned for tables known to be empty as a walk through them.

Where a table has no rows every way through it costs the same, and what the planner
takes then lasts: until the next ANALYZE, however the table grows meanwhile.
"""

import re

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from campaigns.deciding.database import _BY_KEYS
from campaigns.ingest import partitions
from campaigns.sql import load
from tests.db.big_tables import copied, fill, leading_to
from tests.db.plans import nodes, numbered
from tests.db.test_plans import FILES, VALUES

pytestmark = [pytest.mark.django_db]

# What the owner makes by hand, one row each or a handful; all other tables grow.
SHORT = {
    f"campaigns_{name}"
    for name in (
        "company", "ids", "ingeststate", "provider", "rule", "sender", "templateversion",
        "topic",
    )
}  # fmt: skip
# Read whole at worst: those of the mails in hands and in doubt, short in a table of
# any size, and that of webhooks by time, of which each scrape asks for the last one.
READ_WHOLE = {"message_lease_idx", "message_unknown_idx", "webhookbatch_received_idx"}
# They read the first entries of an index, in its order, and stop.
READS_THE_FIRST = {
    "anything_due",  # the first lease
    "expired_leases",  # leases, the oldest first
    "feedback_due",  # the webhook that waits longest
    "metrics_messages",  # up to a limit
    "metrics_rest",  # up to a limit
}
# (time, id): without any row the planner may take it for an id's index, as it costs
# the same as the key's. No wording of a statement prevents that; a few rows do, and
# so short a walk may still be cheaper than looking a hundred given ids up.
BY_TIME = re.compile(r"\w+_recent_idx")
FILLED = [
    "attempt", "consent", "conversion", "cooldown", "customer", "decisioncount",
    "dedupe_0", "dedupe_1", "deliveryevent", "event", "identity", "journey", "message",
    "refusal", "rejectedevent", "subscription", "suppression", "timer", "webhookbatch",
]  # fmt: skip


@pytest.fixture(scope="module")
def own_database(django_db_setup, django_db_blocker):
    """ANALYZE's answer outlives a rollback: not in the database of other tests."""
    with django_db_blocker.unblock(), copied("empty") as name, leading_to(name):
        yield


@pytest.fixture(scope="module", params=["fresh", "few", "emptied"])
def state(request, own_database, django_db_blocker):
    """Nothing ever written; eight people; pages, but no rows left in them."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f"campaigns_{name}" for name in FILLED))
        cursor.execute("DELETE FROM campaigns_webhookendpoint")
        partitions.create_ahead(timezone.now())
        if request.param != "fresh":
            few = request.param == "few"
            fill(people=8 if few else 2000, waiting=4 if few else 500)
        if request.param == "emptied":
            for name in FILLED:
                cursor.execute(f"DELETE FROM campaigns_{name}")
        cursor.execute("ANALYZE")
        return request.param


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", FILES)
def test_a_statement_goes_by_keys_where_there_are_no_rows(name, mode, state):
    found = walks(name, mode)
    if state != "few" or mode == "force_custom_plan":
        found = [each for each in found if not BY_TIME.search(each)]
    assert found == []


def test_the_tables_that_grow_are_known_to_be_empty(state):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(reltuples) FROM pg_class WHERE oid IN"
            " ('campaigns_timer'::regclass, 'campaigns_message'::regclass)"
        )
        assert cursor.fetchone() == ((8,) if state == "few" else (0,))


def walks(name, mode):
    """Return the scans of the statement's plan that no key leads."""
    statement, order = numbered(load(name))
    connection.ensure_connection()
    cursor = psycopg.ClientCursor(connection.connection)
    cursor.execute(_BY_KEYS)
    cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
    cursor.execute("DEALLOCATE ALL")
    cursor.execute(b"PREPARE it AS " + statement)
    places = ", ".join(["%s"] * len(order))
    asked = "EXPLAIN (FORMAT JSON) EXECUTE it" + (f" ({places})" if order else "")
    cursor.execute(asked, [VALUES[name][each] for each in order] or None)
    ((answer,),) = cursor.fetchone()
    first = first_columns()
    return [
        f"{node['Node Type']} {node.get('Relation Name', '')} {node.get('Index Name', '')}"
        for node, few in nodes(answer["Plan"], few=False)
        if is_walk(node, first) and not (few and name in READS_THE_FIRST)
    ]


def is_walk(node, first):
    """Return whether the node reads all of what grows, in whatever order."""
    table, index = node.get("Relation Name", ""), node.get("Index Name")
    if table in SHORT or index in READ_WHOLE:
        return False
    if index is None:
        return node["Node Type"] == "Seq Scan" and table.startswith("campaigns_")
    if index not in first:
        return False  # the catalogue's
    # Entries are sorted by the first column: without it all of them are looked at.
    return not re.search(rf"\(+{first[index]} ", node.get("Index Cond", ""))


def first_columns():
    """Return the first column of each index of ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_indexdef(c.oid, 1, true) FROM pg_class c"
            " WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace"
        )
        return dict(cursor.fetchall())
