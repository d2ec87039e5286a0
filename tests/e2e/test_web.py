"""The site behind its door: as `manage.py web` starts it, on a test's database."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import django.contrib.admin
import psycopg
import pytest
from django.db import connection

from campaigns.deciding.rulesets import RULESET_LOCK
from campaigns.domain.events import Trust
from campaigns.models import Event, Source, SourceKey, WebhookEndpoint
from campaigns.receive.auth import hash_key
from tests.api_rows import KEY, PUBLIC_KEY, ROWS
from tests.e2e.edge import ROOT, answer, drain
from tests.e2e.live import fresh_start, write_key
from tests.e2e.product import free_port, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

THREADS, QUEUE, BODY_S = 2, 2, 2
JSON = "Content-Type: application/json"
HEAD = "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


class Site:
    """A web server of one worker, with few threads."""

    def __init__(self, database_url, folder):
        self.port = free_port()
        self.log = folder / "log"
        environment = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": "s" * 64,
            "SENDGRID_HOST": "http://127.0.0.1:9",  # nobody is there
            "VAR_DIR": str(folder),
            "PORT": str(self.port),
            "WEB_WORKERS": "1",
            "WEB_THREADS": str(THREADS),
            "WEB_QUEUE": str(QUEUE),
            "WEB_BODY_S": str(BODY_S),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "web"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
        wait_for(self.is_alive, f"the site serves, see {self.log}")

    def is_alive(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except ConnectionRefusedError:
            return False

    def send(self, method, path, *, body=b"", length=None, headers=()):
        """Send a request; return its connection, which the caller closes."""
        head = HEAD.format(method, path) + "".join(f"{h}\r\n" for h in headers)
        if method != "GET":
            head += f"Content-Length: {len(body) if length is None else length}\r\n"
        to = socket.create_connection(("127.0.0.1", self.port), 30)
        to.sendall(f"{head}\r\n".encode() + body)
        return to

    def ask(self, method, path, **rest):
        with closing(self.send(method, path, **rest)) as to:
            return answer(drain(to))


@pytest.fixture
def site(database_url, tmp_path):
    made = Site(database_url, tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.send_signal(signal.SIGTERM)
    made.process.wait(30)


@pytest.fixture
def shop(transactional_db):
    """Return the headers of a source that may post."""
    Event.objects.all().delete()  # a flush passes over the partitioned table
    key = write_key()
    login = base64.b64encode(f"{key}:".encode()).decode()
    return [f"Authorization: Basic {login}"]


def event(n):
    return json.dumps({"userId": f"u{n}", "event": "Signed Up"}).encode()


@contextmanager
def keys_locked():
    """Let every thread that looks a key up wait until the end of the block."""
    with psycopg.connect(
        **connection.get_connection_params() | {"cursor_factory": None}
    ) as other:
        other.execute("LOCK TABLE campaigns_sourcekey IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def waiting():
    """Return how many sessions of the site wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' "
            "AND wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone()[0]


def test_events_pages_and_files_are_served_by_few_connections(shop, site):
    answers = [
        site.ask("POST", "/v1/track", body=event(n), headers=shop) for n in range(20)
    ]
    assert [a[0] for a in answers] == [200] * 20
    assert Event.objects.count() == 20
    assert site.ask("GET", "/admin/login/")[0] == 200
    assert site.ask("POST", "/admin/login/", body=b"username=a")[0] == 403
    style = Path(django.contrib.admin.__file__).parent / "static/admin/css/base.css"
    assert site.ask("GET", "/static/admin/css/base.css")[2] == style.read_bytes()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' "
            "AND datname = current_database()"
        )
        assert 1 <= cursor.fetchone()[0] <= THREADS + 1  # and the lane's


def test_health_is_answered_while_all_threads_are_busy_and_no_ack_is_lost(shop, site):
    with ExitStack() as stack:
        with keys_locked():
            sent = [
                stack.enter_context(
                    closing(site.send("POST", "/v1/track", body=event(n), headers=shop))
                )
                for n in range(THREADS + QUEUE)
            ]
            wait_for(waiting, "a thread waits, and the others for what it reads")
            status, lines, body = wait_for(
                lambda: busy(site, shop), "the queue is full"
            )
            assert site.ask("GET", "/healthz")[0] == 200
        answers = [answer(drain(to)) for to in sent]
    acknowledged = [a[0] for a in answers].count(200)
    assert acknowledged == Event.objects.count() >= THREADS
    assert {a[0] for a in answers} <= {200, 503}
    assert (status, json.loads(body)["code"]) == (503, "busy")
    assert any(line.startswith("retry-after: ") for line in lines)


def busy(site, shop):
    """Return the answer to one request too many, None while there is room.

    An empty batch, so that one that finds room leaves no event.
    """
    to = site.send("POST", "/v1/batch", body=b'{"batch": []}', headers=shop)
    with closing(to):
        to.settimeout(0.5)
        try:
            return answer(drain(to))
        except TimeoutError:
            return None


@pytest.mark.parametrize(
    ("path", "word"),
    [("/v1/track", "code"), ("/webhooks/sendgrid/x", "reason")],
    ids=["event", "webhook"],
)
def test_stalled_bodies_hold_no_thread_and_are_refused_in_time(path, word, shop, site):
    with ExitStack() as stack:
        stalled = [
            stack.enter_context(
                closing(site.send("POST", path, body=b"{", length=20_000))
            )
            for _ in range(10 * THREADS)
        ]
        began = time.monotonic()
        taken = site.ask("POST", "/v1/track", body=event(1), headers=shop)
        assert (taken[0], time.monotonic() - began < BODY_S) == (200, True)
        answers = [answer(drain(to)) for to in stalled]
    assert [status for status, _, _ in answers] == [408] * len(stalled)
    assert json.loads(answers[0][2])[word] == "too_slow"


def test_an_unsubscribe_link_does_not_wait_for_a_body(site):
    assert site.ask("POST", "/u/token", length=30)[0] == 404


def test_a_body_that_is_too_long_is_refused_as_ever(shop, site):
    events = site.ask("POST", "/v1/track", length=10**7, headers=shop)
    assert (events[0], json.loads(events[2])["code"]) == (400, "body_too_large")
    slug = WebhookEndpoint.objects.create(
        slug="x", kind="sendgrid", public_keys=[]
    ).slug
    hook = site.ask("POST", f"/webhooks/sendgrid/{slug}", length=10**8)
    assert (hook[0], json.loads(hook[2])["reason"]) == (413, "body_too_large")


@contextmanager
def decisions_held():
    """Let every event wait for its commit until the end of the block."""
    parameters = connection.get_connection_params() | {"cursor_factory": None}
    with psycopg.connect(**parameters) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [RULESET_LOCK])
        yield


def test_a_stop_answers_those_who_wait_for_a_commit(shop, site):
    assert site.ask("POST", "/v1/track", body=event(0), headers=shop)[0] == 200
    with ExitStack() as stack:
        with decisions_held():
            sent = [
                stack.enter_context(
                    closing(
                        site.send(
                            "POST", "/v1/track", body=event(n), headers=[*shop, JSON]
                        )
                    )
                )
                for n in range(1, 9)
            ]
            wait_for(waiting, "the first of them is being committed")
            site.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not accepts(site), "no more is taken")
        answers = [answer(drain(to)) for to in sent]
    acknowledged = [a[0] for a in answers].count(200)
    assert acknowledged >= 1
    assert {a[0] for a in answers} <= {200, 503}
    assert Event.objects.count() == 1 + acknowledged
    assert site.process.wait(30) == 0
    assert "Traceback" not in site.log.read_text()


def test_nobody_can_tell_by_which_way_an_answer_came(transactional_db, site):
    Event.objects.all().delete()
    fresh_start()
    for key, trust in ((KEY, Trust.SECRET), (PUBLIC_KEY, Trust.PUBLIC)):
        source = Source.objects.create(name=key, kind="segment", trust=trust)
        SourceKey.objects.create(source=source, key_hash=hash_key(key), prefix=key[:4])
    told = {}
    for name, row in ROWS.items():
        # What changes nothing for Django keeps the loop from answering.
        ways = [(), (("Content-Encoding", "identity"),)]
        if any(name == "Content-Encoding" for name, _ in row.headers):
            ways = [()]
        told[name] = [over_a_socket(site, row, extra) for extra in ways]
    assert {n: a for n, a in told.items() if a[0] != a[-1]} == {}
    assert {told[n][0][0] for n, row in ROWS.items() if row.in_loop} == {200}
    assert site.process.poll() is None


def over_a_socket(site, row, extra):
    """Return (status, header lines, body) of a row, sent as it is."""
    head = f"{row.method} {row.path} HTTP/1.1\r\nConnection: close\r\n"
    for name, value in (*row.headers, *extra, ("Content-Length", len(row.body))):
        head += f"{name}: {value}\r\n"
    with closing(socket.create_connection(("127.0.0.1", site.port), 30)) as to:
        to.sendall(f"{head}\r\n".encode() + row.body)
        status, lines, body = answer(drain(to))
    return status, [line for line in lines if not line.startswith("date:")], body


def test_a_stop_answers_what_is_under_way(shop, site):
    with keys_locked():
        to = site.send("POST", "/v1/track", body=event(1), headers=shop)
        wait_for(waiting, "it is under way")
        site.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts(site), "no more is taken")
    with closing(to):
        assert answer(drain(to))[0] == 200
    assert Event.objects.count() == 1
    assert site.process.wait(30) == 0
    assert "Traceback" not in site.log.read_text()


def accepts(site):
    try:
        socket.create_connection(("127.0.0.1", site.port), 5).close()
    except OSError:
        return False
    return True
