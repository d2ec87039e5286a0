"""What /healthz and /readyz say, and what errors look like to programs."""

from datetime import timedelta

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from campaigns.admin.system import beat_state
from campaigns.deciding import clock
from campaigns.models import ClusterBeat
from campaigns.reports import readiness
from campaigns.watching import doctor_work, page
from campaigns.watching.findings import Level
from tests.db.world import Clock, at

pytestmark = pytest.mark.django_db


def beat(name, *, age_s=1):
    ClusterBeat.objects.create(name=name, seen_at=Now() - timedelta(seconds=age_s))


def test_it_is_alive_without_asking_the_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_is_ready_when_every_cluster_showed_work(client):
    beat("mail@a")
    beat("feedback@b")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (200, {})


def test_a_stale_cluster_is_named(client):
    beat("mail@a", age_s=3600)
    beat("feedback@a")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert list(answer.json()["reasons"]) == ["cluster mail"]


def test_one_living_host_is_enough(client):
    beat("mail@dead", age_s=3600)
    beat("mail@alive")
    beat("feedback@alive")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("age_s", "works"), [(0, True), (29, True), (30, False)])
def test_all_who_are_asked_give_a_silent_cluster_as_long(client, age_s, works):
    now = at("09:00")
    for name in ("mail@a", "feedback@a"):
        ClusterBeat.objects.create(name=name, seen_at=now - timedelta(seconds=age_s))
    with clock.use(Clock(now)):
        said = {
            "readiness": client.get("/readyz").status_code == 200,
            "metrics": 'emailtriggers_cluster_ready{cluster="mail"} 1.0'
            in page.text().decode(),
            "doctor": all(f.level is Level.GOOD for f in doctor_work.clusters()),
            "admin": ">healthy<" in beat_state(ClusterBeat.objects.first()),
        }
    assert said == dict.fromkeys(said, works)


def test_missing_migrations_are_named(client, monkeypatch):
    monkeypatch.setattr(readiness, "_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'sessions' AND name LIKE '0001%'"
        )
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["reasons"]["migrations"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_a_reason_and_no_error(client):
    connection.ensure_connection()
    with connection.execute_wrapper(refuse):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["reasons"]["database"]


@pytest.mark.django_db(transaction=True)
def test_strangers_do_not_read_where_the_database_is_and_the_log_says_it_once(
    client, caplog, monkeypatch
):
    monkeypatch.setattr(readiness, "_complained", False)
    connection.ensure_connection()
    for _ in range(3):
        with connection.execute_wrapper(refuse):
            said = client.get("/readyz").content.decode()
        assert "10.1.2.3" not in said
        assert "mailuser" not in said
    ours = [r for r in caplog.records if r.name == readiness.__name__]
    assert [SECRET in record.getMessage() for record in ours] == [True]
    client.get("/readyz")
    with connection.execute_wrapper(refuse):
        client.get("/readyz")
    assert caplog.text.count(SECRET) == 2


SECRET = 'connection to server at "10.1.2.3": no password for user "mailuser"'


def refuse(_execute, _sql, _params, _many, _context):
    """Stand for a connection that breaks in the middle of a statement."""
    raise OperationalError(SECRET) from psycopg.OperationalError(SECRET)


def test_a_cluster_that_has_not_answered_since_its_start_is_named(client):
    ClusterBeat.objects.create(name="mail@a", sent_n=3, seen_n=3, seen_at=None)
    beat("feedback@a")
    assert list(client.get("/readyz").json()["reasons"]) == ["cluster mail"]


def test_nothing_at_a_path_is_told_to_programs_in_json(client):
    answer = client.get("/webhooks/nobody/knows")
    assert answer.status_code == 404
    assert "/webhooks/nobody/knows" in answer.json()["error"]


def test_the_root_leads_to_the_admin(client):
    assert client.get("/")["Location"] == "/admin/"


def test_a_foreign_host_is_refused_in_words(client):
    answer = client.get("/webhooks/x/y", headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.json()["error"]


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "host1.internal:8000", ""])
def test_a_load_balancer_may_ask_by_any_name(client, host):
    beat("mail@a")
    beat("feedback@a")
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"host": host}).status_code == 200
    # Only what tells nothing of anybody: no page that could be framed or poisoned.
    assert client.get("/admin/login/", headers={"host": host}).status_code == 400
