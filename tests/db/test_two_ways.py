"""The event API is answered in the loop or by Django; nobody can tell by which."""

import re
import sys
from concurrent.futures import wait
from io import BytesIO
from unittest.mock import ANY

import pytest
from django.db import connection

from campaigns.deciding import clock
from campaigns.domain.events import Trust
from campaigns.ingest import lane as lanes
from campaigns.ingest.lane import LANE, Lane
from campaigns.metrics.refused import REFUSED
from campaigns.models import Event, RejectedEvent, Source, SourceKey
from campaigns.receive import taking
from campaigns.receive.auth import KEYS, MAX_AGE_S, REFRESH_S, hash_key
from campaigns.receive.limits import LIMITER
from emailtriggers import events, ways
from emailtriggers.door import Answer, Later, Request
from emailtriggers.wsgi import application
from tests.api_rows import KEY, PUBLIC_KEY, ROWS, row, track

WITHIN_S = 30
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sources(transactional_db):
    """A secret and a public source, whose keys this process has just read."""
    Event.objects.all().delete()  # a flush passes over the partitioned table
    for memory in (KEYS, LIMITER, REFUSED, events):
        memory.forget()
    for key, trust in ((KEY, Trust.SECRET), (PUBLIC_KEY, Trust.PUBLIC)):
        source = Source.objects.create(name=key, kind="segment", trust=trust)
        SourceKey.objects.create(source=source, key_hash=hash_key(key), prefix=key[:4])
    be_ready()


def be_ready():
    """Know the keys and the time."""
    KEYS.forget()
    assert KEYS.find(KEY) is not None
    know_the_time()


def know_the_time():
    """Ask the database until an answer is quick enough to be believed."""
    clock.now()
    while clock.reckoned() is None:
        clock.now()


def environ_of(asked):
    """Return a row as the door tells it, but for the body."""
    path, _, query = asked.path.partition("?")
    environ = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "CONTENT_LENGTH": str(len(asked.body)),
    }
    for name, value in asked.headers:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def by_loop(asked):
    """Return the loop's answer, None if it leaves the request to Django."""
    environ = environ_of(asked)
    handler = ways.handler(asked.method, environ["PATH_INFO"])
    if handler is None:
        return None
    return sooner_or_later(handler(Request(environ, asked.body, is_whole=True)))


def sooner_or_later(answer):
    """Return an answer when it is there."""
    if not isinstance(answer, Later):
        return answer
    wait([answer.result], WITHIN_S)
    return answer.answer()


def by_django(asked):
    """Return Django's answer to the same."""
    told = []
    environ = {**environ_of(asked), "wsgi.input": BytesIO(asked.body)}
    response = application(environ, lambda *head: told.append(head))
    body = b"".join(response)
    response.close()
    ((line, headers),) = told
    return Answer(int(line[:3]), headers, body)


def same(answer):
    """Return an answer without what is by chance."""
    headers = [(k, ANY if k == "Retry-After" else v) for k, v in answer.headers]
    return answer.status, headers, re.sub(rb"incident \w+", b"incident", answer.body)


@pytest.mark.parametrize("asked", ROWS.values(), ids=ROWS)
def test_an_answer_is_the_same_by_both_ways(asked):
    first, second = by_loop(asked), by_django(asked)
    assert (first is not None) is asked.in_loop
    if first is not None:
        assert same(first) == same(second)
        assert first.status == 200


@pytest.mark.parametrize("name", ["track", "hostile-text", "a-bad-event", "identify"])
def test_what_is_kept_is_the_same_by_both_ways(name):
    kept = []
    for take in (by_loop, by_django):
        assert take(ROWS[name]).status == 200
        kept.append(
            [
                list(
                    Event.objects.values(
                        "type", "name", "properties", "traits", "notes"
                    )
                ),
                list(RejectedEvent.objects.values("code", "detail", "path", "body")),
            ]
        )
        RejectedEvent.objects.all().delete()
        Event.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE campaigns_dedupe_0, campaigns_dedupe_1")
        be_ready()
    assert kept[0] == kept[1]
    assert any(kept[0])


@pytest.mark.parametrize("proto", ["http", "https"])
def test_a_proxy_that_ends_tls_is_believed_by_both_ways(proto, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    asked = ROWS[proto]
    first, second = by_loop(asked), by_django(asked)
    assert same(first) == same(second)


# --- What fails ----------------------------------------------------------------


def test_without_the_database_both_say_come_again(tmp_path):
    assert by_loop(ROWS["track"]).status == 200
    at = connection.settings_dict
    host = at["HOST"]
    at["HOST"] = str(tmp_path)
    LANE.close(patience_s=30)
    connection.close()
    try:
        first, second = by_loop(ROWS["without-id"]), by_django(ROWS["without-id"])
    finally:
        at["HOST"] = host
    assert same(first) == same(second)
    assert (first.status, b'"unavailable"' in first.body) == (503, True)


def test_a_full_lane_makes_both_say_come_again(monkeypatch):
    monkeypatch.setattr(LANE, "_most_waiting", 0)
    first, second = by_loop(ROWS["track"]), by_django(ROWS["track"])
    assert same(first) == same(second)
    assert (first.status, b'"busy"' in first.body) == (503, True)
    assert Event.objects.count() == 0


def test_a_failure_of_ours_has_an_incident_in_both(monkeypatch, caplog):
    def broken(_batches):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(lanes, "record_all", broken)
    first, second = by_loop(ROWS["track"]), by_django(ROWS["track"])
    assert same(first) == same(second)
    assert (first.status, b"secret detail" in first.body) == (503, False)
    incident = first.body.partition(b"incident ")[2].split()[0].decode()
    assert incident in caplog.text


def test_a_fault_in_the_reading_is_left_to_django(monkeypatch, caplog):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(taking.segment, "read", broken)
    assert by_loop(ROWS["track"]) is None
    assert "could not be read in the loop" in caplog.text
    assert by_django(ROWS["track"]).status == 503


# --- What the loop must not wait for ---------------------------------------------


def test_keys_that_are_old_are_read_by_django():
    KEYS.forget()
    assert by_loop(ROWS["track"]) is None
    assert by_django(ROWS["track"]).status == 200
    assert by_loop(ROWS["track"]).status == 200


def test_while_a_thread_reads_the_keys_the_loop_goes_on_until_they_are_too_old():
    read_at = KEYS._loaded_at
    KEYS._loaded_at = read_at - (REFRESH_S + MAX_AGE_S) / 2
    assert KEYS.peek(KEY) is None
    with KEYS._lock:  # somebody reads them
        assert KEYS.peek(KEY) is not None
        KEYS._loaded_at = read_at - MAX_AGE_S
        assert KEYS.peek(KEY) is None


def test_a_time_that_nobody_knows_is_asked_by_django(monkeypatch):
    monkeypatch.setattr(clock, "_reckoning", clock.Reckoning())
    assert by_loop(ROWS["track"]) is None
    assert by_django(ROWS["track"]).status == 200
    know_the_time()  # as Django's answer does, unless the machine is busy
    assert by_loop(ROWS["track"]).status == 200


def test_many_at_once_are_answered_each_with_its_own(monkeypatch):
    monkeypatch.setattr(events, "LANE", lane := Lane())
    asked = [row(track(messageId=f"m{n}")) for n in range(40)]
    asked[7] = ROWS["a-bad-event"]

    later = [
        events.post(Request(environ_of(each), each.body, is_whole=True))
        for each in asked
    ]
    answers = [sooner_or_later(each) for each in later]
    assert lane.close(patience_s=30)
    assert [b"rejected" in a.body for a in answers] == [n == 7 for n in range(40)]
    assert Event.objects.count() == 39
    assert Event.objects.values("received_at").distinct().count() < 39
