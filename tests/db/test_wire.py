"""Statements as they go to PostgreSQL: binary values, pipelines, what is prepared."""

import gc
import struct
from datetime import UTC, datetime
from uuid import UUID, uuid4
from weakref import ref

import psycopg
import pytest
from django.db import DatabaseError, DataError, OperationalError, connection
from django.db.transaction import atomic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.deciding import database, wire
from campaigns.deciding.database import BrokenInvariant, call, meanwhile, run, run_all
from campaigns.deciding.transaction import decide
from campaigns.models import Topic, WebhookEndpoint
from emailtriggers import connecting

pytestmark = pytest.mark.django_db(transaction=True)

INT8 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)
VALUES = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "bigint": INT8,
    "float8": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "text": st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    "bytea": st.binary(),
    "uuid": st.uuids(),
    "timestamptz": TIMES,
}
STATEMENTS = {
    **{f"one_{kind}": f"SELECT %(value)s::{kind}" for kind in VALUES},
    **{f"many_{kind}": f"SELECT unnest(%(value)s::{kind}[])" for kind in VALUES},
    "json": "SELECT %(value)s::jsonb, '[1, {\"a\": null}]'::jsonb",
    "double": "SELECT %(value)s::int * 2 + %(value)s::int",
    "divide": "SELECT 1 / %(value)s::int",
    "rename": "UPDATE campaigns_topic SET name = %(name)s::text WHERE id = ANY(%(ids)s::bigint[])",
    "by_slug": "SELECT id FROM campaigns_topic WHERE slug = %(value)s::text",
    "uncast": "SELECT %(value)s",
    "two_types": "SELECT %(value)s::int, %(value)s::text",
}


@pytest.fixture(autouse=True)
def statements(monkeypatch):
    real = wire.load
    monkeypatch.setattr(
        wire, "load", lambda n: STATEMENTS[n].encode() if n in STATEMENTS else real(n)
    )
    wire.statement.cache_clear()
    yield
    wire.statement.cache_clear()
    connection.close()  # with what these tests prepared


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_written_is_what_postgresql_reads(kind):
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.none() | VALUES[kind])
        | st.lists(VALUES[kind])
        | st.builds(lambda v, n: [v] * n, st.none() | VALUES[kind], st.integers(1, 9))
    )
    def check(values):
        assert [v for (v,) in run(f"many_{kind}", value=values)] == values
        for value in values:
            assert run(f"one_{kind}", value=value) == [(value,)]

    check()


def test_a_uuid_may_be_given_as_its_bytes():
    key = uuid4()
    assert run("many_uuid", value=[key.bytes]) == [(key,)]
    assert run("one_uuid", value=UUID(bytes=key.bytes)) == [(key,)]


def test_text_may_be_given_as_its_bytes():
    given = ["é", "é".encode(), None, b"", "x"]
    assert [v for (v,) in run("many_text", value=given)] == ["é", "é", None, "", "x"]
    assert run("one_text", value="é".encode()) == [("é",)]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("int", [1, "2"]), ("bigint", [1, 2.5]), ("smallint", [1, 2**15])],
    ids=["text", "fraction", "too large"],
)
def test_a_column_with_one_wrong_value_is_refused(kind, wrong):
    with pytest.raises(struct.error):
        run(f"many_{kind}", value=wrong)
    assert run("one_int", value=1) == [(1,)]


def test_json_goes_as_text_and_comes_as_values():
    assert run("json", value='{"a": ["\\u00e9", 1.5]}') == [
        ({"a": ["é", 1.5]}, [1, {"a": None}])
    ]


def test_a_parameter_may_stand_twice():
    assert run("double", value=3) == [(9,)]


@pytest.mark.parametrize(
    ("name", "problem"), [("uncast", "needs a cast"), ("two_types", "has two types")]
)
def test_a_parameter_says_its_one_type(name, problem):
    with pytest.raises(ValueError, match=problem):
        run(name, value=1)


@pytest.mark.parametrize("given", [{}, {"value": 1, "odd": 2}], ids=["none", "odd"])
def test_parameters_that_do_not_fit_are_refused_before_anything_is_sent(given):
    with pytest.raises((TypeError, KeyError)):
        run("double", **given)
    assert run("double", value=1) == [(3,)]


def test_statements_of_one_trip_see_each_other_and_count_their_rows():
    topic = Topic.objects.create(slug="news", name="News")
    renamed, again = run_all(
        [
            call("rename", rows=1, name="Offers", ids=[topic.pk]),
            call("rename", name="Offers", ids=[0]),
        ]
    )
    assert (renamed.count, renamed.rows, again.count) == (1, [], 0)
    assert Topic.objects.get().name == "Offers"


def test_the_first_error_is_raised_and_nothing_of_the_trip_stays():
    topic = Topic.objects.create(slug="news", name="News")
    with pytest.raises(DataError, match="division by zero"), atomic():
        run_all(
            [
                call("rename", name="Offers", ids=[topic.pk]),
                call("divide", value=0),
                call("one_int", value=1),
            ]
        )
    assert Topic.objects.get().name == "News"
    # What went before and behind the error may be used as if nothing had been.
    assert run("one_int", value=1) == [(1,)]
    assert run("divide", value=1) == [(1,)]


def test_a_statement_runs_while_the_block_computes():
    topic = Topic.objects.create(slug="news", name="News")
    with atomic():
        run("one_int", value=1)
        with meanwhile(call("rename", name="Offers", ids=[topic.pk])):
            assert 1 + 1 == 2
        assert Topic.objects.get().name == "Offers"
        with meanwhile(call("rename", name="Sales", ids=[topic.pk])):
            assert run("one_int", value=1) == [(1,)]  # waits for it first
    assert Topic.objects.get().name == "Sales"


def divided(divisor, block):
    with atomic():
        run("one_int", value=1)
        with meanwhile(call("divide", value=divisor)):
            block()


@pytest.mark.parametrize("asks", [False, True])
def test_the_end_of_the_block_raises_what_ran_meanwhile(asks):
    asked = []

    def block():
        if asks:
            asked.append(run("one_int", value=1))

    with pytest.raises(DataError, match="division by zero"):
        divided(0, block)
    assert not asked
    divided(1, block)
    assert run("one_int", value=1) == [(1,)]


@pytest.mark.parametrize("divisor", [0, 1])
def test_what_the_block_raises_goes_before_what_ran_meanwhile(divisor):
    with pytest.raises(KeyError):
        divided(divisor, {}.popitem)
    assert run("one_int", value=1) == [(1,)]


def test_a_row_that_moved_is_an_alarm_and_nothing_is_committed():
    topic = Topic.objects.create(slug="news", name="News")

    def work(decision):
        decision._writes.append(call("rename", rows=2, name="Offers", ids=[topic.pk]))

    with pytest.raises(BrokenInvariant, match="rename: 1 rows of 2"):
        decide(work)
    assert Topic.objects.get().name == "News"


def test_the_commit_goes_along_with_the_last_statements():
    topic = Topic.objects.create(slug="news", name="News")
    with atomic():
        run_all([call("rename", name="Offers", ids=[topic.pk])], commit=True)
        with psycopg.connect(**connection.get_connection_params()) as other:
            found = other.execute("SELECT name FROM campaigns_topic").fetchall()
        assert [row[0] for row in found] == ["Offers"]


def test_statements_that_a_pooler_forgot_are_prepared_anew():
    assert run("double", value=1) == [(3,)]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    with pytest.raises(DatabaseError) as raised:
        run("double", value=1)
    assert database.is_retryable(raised.value)
    assert run("double", value=2) == [(6,)]


PLANS = ("plan_cache_mode", "enable_seqscan", "enable_hashjoin", "jit")


def plans():
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"current_setting('{n}')" for n in PLANS))
        return dict(zip(PLANS, cursor.fetchone(), strict=True))


@pytest.fixture
def pooled(monkeypatch):
    """A connection as settings make it for a pooler: nothing was asked as it began."""
    options = connecting.pooled("tests")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    yield
    connection.close()


def test_without_prepared_statements_everything_works_too(pooled):
    assert run("double", value=2) == [(6,)]
    assert run("many_text", value=["a", None]) == [("a",), (None,)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE name ~ '^et_'"
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("words", ["-c work_mem=8MB", ""])
def test_a_pooler_is_one_whatever_options_its_address_brings(monkeypatch, words):
    options = {**connecting.pooled("tests"), "options": words}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    assert run("double", value=2) == [(6,)]
    assert database._session().is_pooled
    connection.close()


@pytest.mark.parametrize("options", [connecting.straight, connecting.pooled])
def test_no_connection_remembers_what_the_orm_wrote(options, monkeypatch):
    """A webhook of a megabyte is in the text of its INSERT."""
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options("tests"))
    connection.close()
    WebhookEndpoint.objects.filter(slug="x" * 100_000).exists()
    kept = connection.connection._prepared
    assert not kept._counts
    assert not kept._names
    connection.close()


def test_a_connection_that_was_closed_is_forgotten():
    run("double", value=1)
    known = ref(connection.connection)
    connection.close()
    assert run("double", value=1) == [(3,)]
    gc.collect()
    assert known() is None


def test_behind_a_pooler_each_transaction_brings_its_planning_and_leaves_none(pooled):
    as_begun = plans()
    assert as_begun["plan_cache_mode"] == "auto"
    for _ in range(2):
        with atomic():
            run_all([call("double", value=1)])
            assert set(plans().values()) == {"off", "force_generic_plan"}
        assert plans() == as_begun
    with atomic():  # begun by the ORM
        assert plans() == as_begun
        run_all([call("double", value=1)])
        assert plans()["enable_seqscan"] == "off"
    assert run_all([call("double", value=1)], commit=True)[0].rows == [(3,)]
    assert plans() == as_begun


def test_each_transaction_brings_its_planning_as_any_statement_may_be_planned_anew():
    as_begun = plans()
    for _ in range(2):
        with atomic():
            run_all([call("double", value=1)])
            assert plans()["enable_seqscan"] == "off"
        assert plans() == as_begun


def test_a_plan_made_anew_for_an_emptied_table_goes_by_its_index():
    def scans():
        run("by_slug", value="news")
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN EXECUTE et_by_slug('news')")
            return "\n".join(line for (line,) in cursor.fetchall())

    for _ in range(2):
        with atomic():
            run_all([call("double", value=1)])
            assert "Index" in scans()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE campaigns_topic")


def test_a_connection_to_postgresql_itself_asks_it_to_notice_who_is_lost(monkeypatch):
    options = connecting.straight("tests")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE source = 'client'"
            " AND name = ANY(%s)",
            [list(connecting.SERVER)],
        )
        assert set(dict(cursor.fetchall())) == set(connecting.SERVER)


def test_a_server_that_goes_away_is_an_outage_and_the_next_call_connects_anew():
    connection.ensure_connection()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(
            "SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid]
        )
    with pytest.raises(OperationalError) as raised:
        run("double", value=1)
    assert database.is_away(raised.value)
    connection.close()
    assert run("double", value=1) == [(3,)]
