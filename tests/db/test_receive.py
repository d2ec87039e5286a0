"""The Segment API against the real database: what is answered, what is kept."""

import base64
import gzip
import json
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from campaigns.domain.events import Trust
from campaigns.ingest import partitions
from campaigns.metrics.refused import REFUSED
from campaigns.models import Event, RefusedCount, RejectedEvent, Source, SourceKey
from campaigns.receive import views
from campaigns.receive.auth import KEYS, hash_key
from campaigns.receive.limits import LIMITER

pytestmark = pytest.mark.django_db

KEY = "write-key-of-the-shop"


@pytest.fixture(autouse=True)
def fresh_process():
    """What a process remembers between requests, as after its start."""
    for memory in (KEYS, LIMITER, REFUSED, partitions):
        memory.forget()


@pytest.fixture
def source():
    return a_source(KEY)


def a_source(key, *, name="Shop", trust=Trust.SECRET):
    source = Source.objects.create(name=name, kind="segment", trust=trust)
    SourceKey.objects.create(source=source, key_hash=hash_key(key), prefix=key[:4])
    return source


def basic(key=KEY):
    pair = base64.b64encode(f"{key}:".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"Basic {pair}"}


def post(call, body, content_type="application/json", **extra):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Client(enforce_csrf_checks=True)
    return client.post(f"/v1/{call}", data=data, content_type=content_type, **extra)


def track(**members):
    return {"type": "track", "userId": "u1", "event": "Signed Up", **members}


def error_of(response):
    body = response.json()
    assert body["success"] is False
    assert body["message"]
    return response.status_code, body["code"]


def test_an_event_is_answered_as_segment_does_and_kept(source):
    body = track(messageId="m1", properties={"plan": "pro"})
    response = post("track", body, **basic())
    assert response.status_code == 200
    assert response.content == b'{"success": true}'
    event = Event.objects.get()
    assert (event.source_id, event.name, event.message_id) == (
        source.pk,
        "Signed Up",
        "m1",
    )
    assert event.properties == {"plan": "pro"}


@pytest.mark.parametrize(
    ("body", "query", "headers"),
    [
        ({}, "", basic()),
        ({"writeKey": KEY}, "", {}),
        ({"writeKey": KEY}, "", {"HTTP_AUTHORIZATION": "Bearer token"}),
        ({}, f"?writeKey={KEY}", {}),
    ],
    ids=["basic", "body", "bearer-and-body", "query"],
)
@pytest.mark.usefixtures("source")
def test_the_key_may_stand_in_header_body_or_query(body, query, headers):
    response = post(f"track{query}", track(**body), **headers)
    assert response.status_code == 200
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (basic("wrong"), "unknown_key"),
        (basic(""), "unknown_key"),
        ({"HTTP_AUTHORIZATION": "Basic ###"}, "unknown_key"),
        ({"HTTP_AUTHORIZATION": "Basic /w=="}, "unknown_key"),
        ({}, "missing_key"),
    ],
)
@pytest.mark.usefixtures("source")
def test_without_a_valid_key_it_is_counted_and_nothing_is_kept(headers, code):
    assert error_of(post("track", track(), **headers)) == (401, code)
    assert Event.objects.count() == RejectedEvent.objects.count() == 0
    assert RefusedCount.objects.get().reason == code


def test_an_unknown_key_in_the_body_is_refused(source):
    assert error_of(post("track", track(writeKey="no"))) == (401, "unknown_key")


def test_counts_of_refused_requests_add_up(source):
    post("track", track())
    REFUSED._flushed_at = None
    post("track", track())
    assert RefusedCount.objects.get().count == 2


def test_a_revoked_key_and_a_disabled_source_stop(source):
    SourceKey.objects.update(revoked_at=timezone.now())
    KEYS.forget()
    assert post("track", track(), **basic()).status_code == 401
    SourceKey.objects.update(revoked_at=None)
    Source.objects.update(enabled=False)
    KEYS.forget()
    assert post("track", track(), **basic()).status_code == 401


@pytest.mark.usefixtures("source")
def test_gzip_and_odd_content_types_are_taken():
    zipped = gzip.compress(json.dumps(track()).encode())
    assert (
        post("track", zipped, HTTP_CONTENT_ENCODING="gzip", **basic()).status_code
        == 200
    )
    for content_type in ("text/plain", "", "application/octet-stream"):
        response = post("track", track(), content_type=content_type, **basic())
        assert response.status_code == 200
    assert Event.objects.count() == 4


@pytest.mark.usefixtures("source")
def test_bad_events_are_answered_200_and_kept_with_their_reasons():
    body = {"batch": [track(), track(event=None, messageId="m2"), 5]}
    response = post("batch", body, **basic())
    assert response.status_code == 200
    answer = response.json()
    assert answer["success"] is True
    assert [r["path"] for r in answer["rejected"]] == ["batch[1].event", "batch[2]"]
    kept = {r.code: r for r in RejectedEvent.objects.all()}
    assert set(kept) == {"missing_event", "not_an_object"}
    assert kept["missing_event"].message_id == "m2"
    assert kept["missing_event"].path == "batch[1].event"
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("source")
def test_a_bad_event_is_kept_once_though_the_good_ones_beside_it_came_before():
    post("track", track(messageId="m1"), **basic())
    body = {"batch": [track(messageId="m1"), track(event=None, messageId="m2")]}
    for _ in range(3):  # answered 200; the client cannot know, and sends it again
        assert post("batch", body, **basic()).status_code == 200
        assert RejectedEvent.objects.get().message_id == "m2"
    body["batch"].append(track(messageId="m3"))
    body["batch"].append(track(event=None, messageId="m4"))
    post("batch", body, **basic())
    assert RejectedEvent.objects.filter(message_id="m4").count() == 1
    assert Event.objects.count() == 2


@pytest.mark.usefixtures("source")
def test_too_many_events_are_one_rejection():
    response = post("batch", {"batch": [{}] * 2501}, **basic())
    assert response.status_code == 200
    assert RejectedEvent.objects.get().code == "too_many_events"


@pytest.mark.usefixtures("source")
def test_hostile_text_is_stored_mended():
    body = (
        rb'{"userId":"a\u0000b","event":"e\ud800","messageId":"m",'
        rb'"properties":{"k\u0000":"v\udfff","n":99999999999999999999999999}}'
    )
    assert post("track", body, **basic()).status_code == 200
    event = Event.objects.get()
    assert event.name == "e\ufffd"
    assert event.properties == {
        "k\ufffd": "v\ufffd",
        "n": "99999999999999999999999999",
    }
    assert event.notes == ["nul-replaced", "number-as-text", "surrogate-replaced"]


@pytest.mark.usefixtures("source")
def test_a_repeat_answers_like_the_first_time_and_changes_nothing():
    first = post("track", track(messageId="m"), **basic())
    again = post("track", track(messageId="m"), **basic())
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("source")
def test_duplicate_ids_inside_a_batch_count_once():
    post("batch", {"batch": [track(messageId="m")] * 3}, **basic())
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("source")
def test_the_clients_clock_is_corrected():
    now = timezone.now()
    body = track(
        timestamp=(now + timedelta(hours=5, minutes=-10)).isoformat(),
        sentAt=(now + timedelta(hours=5)).isoformat(),
    )
    post("track", body, **basic())
    event = Event.objects.get()
    assert abs(event.occurred_at - (now - timedelta(minutes=10))) < timedelta(seconds=5)
    assert event.occurred_at <= event.received_at


@pytest.mark.parametrize(
    ("body", "extra", "code"),
    [
        (b"{", {}, "malformed_json"),
        (b"", {}, "empty_body"),
        (b'{"a":' + b"[" * 100_000, {}, "too_deep"),
        (b"x" * 512_001, {}, "body_too_large"),
        (b"x" * 10_000_000, {}, "body_too_large"),
        (gzip.compress(b"0" * 50_000_000), {"HTTP_CONTENT_ENCODING": "gzip"},
         "body_too_large"),
        (b"{}", {"HTTP_CONTENT_ENCODING": "gzip"}, "bad_gzip"),
        (b"{}", {"HTTP_CONTENT_ENCODING": "br"}, "unknown_encoding"),
    ],
    ids=["broken", "empty", "deep", "large", "10MB", "bomb", "not-gzip", "brotli"],
)  # fmt: skip
@pytest.mark.usefixtures("source")
def test_a_bad_body_is_answered_400_in_words(body, extra, code):
    assert error_of(post("track", body, **extra, **basic())) == (400, code)
    assert Event.objects.count() == 0


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch"])
def test_other_methods_are_answered_405(method):
    response = getattr(Client(), method)("/v1/track")
    assert response.status_code == 405
    assert response["Allow"] == "POST, OPTIONS"
    assert method == "head" or response.json()["code"] == "method_not_allowed"


def test_an_unknown_call_is_answered_404_in_json(source):
    assert error_of(post("tracks", track(), **basic())) == (404, "unknown_call")


def test_sdk_metrics_are_taken_without_a_key():
    assert post("m", {"series": []}).json() == {"success": True}


def test_a_page_of_any_origin_may_post(source):
    origin = {"HTTP_ORIGIN": "https://shop.example.com"}
    asked = Client().options(
        "/v1/t",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type",
        **origin,
    )
    assert asked.status_code == 204
    assert asked["Access-Control-Allow-Origin"] == "https://shop.example.com"
    for header in ("authorization", "content-type", "x-retry-count"):
        assert header in asked["Access-Control-Allow-Headers"]
    assert int(asked["Access-Control-Max-Age"]) > 0
    for key, status in ((KEY, 200), ("wrong", 401)):
        answer = post("t", track(), content_type="text/plain", **basic(key), **origin)
        assert answer.status_code == status
        assert answer["Access-Control-Allow-Origin"] == "https://shop.example.com"
        assert "Access-Control-Allow-Credentials" not in answer


def test_the_browser_snippet_learns_where_to_post(source):
    response = Client().get(f"/v1/projects/{KEY}/settings", HTTP_HOST="localhost:8000")
    assert response.json() == {
        "integrations": {
            "Segment.io": {
                "apiKey": KEY,
                "apiHost": "localhost:8000/v1",
                "protocol": "http",
            }
        },
        "plan": {},
    }
    unknown = Client().get("/v1/projects/nobody/settings")
    assert error_of(unknown) == (404, "unknown_key")


def test_a_public_source_over_its_rate_waits(settings):
    settings.PUBLIC_RATE_PER_MINUTE = 3
    a_source("pub", name="Web", trust=Trust.PUBLIC)
    for number in range(3):
        assert post("t", track(userId=f"u{number}"), **basic("pub")).status_code == 200
    for refused in (
        post("t", track(userId="u9"), **basic("pub")),
        post("t", track(userId="u9", writeKey="pub")),
        post("t", b"not even json", **basic("pub")),
    ):
        assert error_of(refused) == (429, "rate_limited")
        assert 1 <= int(refused["Retry-After"]) <= 300
    other = post("t", track(userId="u9"), REMOTE_ADDR="198.51.100.7", **basic("pub"))
    assert other.status_code == 200
    assert Event.objects.count() == 4


def test_one_customer_over_the_rate_waits_whatever_the_address(settings):
    settings.PUBLIC_RATE_PER_MINUTE = 2
    a_source("pub", name="Web", trust=Trust.PUBLIC)
    statuses = [
        post("t", track(), REMOTE_ADDR=f"198.51.100.{n}", **basic("pub")).status_code
        for n in range(4)
    ]
    assert statuses == [200, 200, 429, 429]


def test_a_claimed_forwarded_address_is_not_believed(settings):
    settings.PUBLIC_RATE_PER_MINUTE = 1
    a_source("pub", name="Web", trust=Trust.PUBLIC)
    answers = [
        post("t", track(userId=f"u{n}"), HTTP_X_FORWARDED_FOR=f"203.0.113.{n}",
             **basic("pub")).status_code
        for n in range(2)
    ]  # fmt: skip
    assert answers == [200, 429]


def test_a_secret_source_has_no_rate(settings, source):
    settings.PUBLIC_RATE_PER_MINUTE = 1
    for _ in range(3):
        assert post("track", track(), **basic()).status_code == 200


def refuse_connections(execute, sql, params, many, context):
    raise OperationalError("connection refused")


@pytest.mark.parametrize("headers", [basic(), basic("wrong"), {}])
def test_without_the_database_it_is_503_and_never_a_4xx(headers):
    with connection.execute_wrapper(refuse_connections):
        response = post("track", track(writeKey=KEY), **headers)
    assert error_of(response) == (503, "unavailable")
    assert 2 <= int(response["Retry-After"]) <= 5
    assert b"connection refused" not in response.content


def test_a_failure_of_ours_is_a_503_with_an_incident_and_no_trace(
    source, monkeypatch, caplog
):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(views.LANE, "record", broken)
    response = post("track", track(), **basic())
    assert error_of(response) == (503, "internal_error")
    assert b"secret detail" not in response.content
    incident = response.json()["message"].partition("incident ")[2].split()[0]
    assert incident in caplog.text
