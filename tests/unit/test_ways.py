"""What the door is told: how much is read where, and how refusals are worded."""

import json
import re

import pytest

from campaigns.feedback import views as feedback
from campaigns.receive.wire import segment
from campaigns.reports.health import healthz
from emailtriggers import serving, ways
from emailtriggers.door import Refusal, Request
from emailtriggers.headers import DISPOSITION

LIMITS = {
    "/v1/track": segment.MAX_BODY_BYTES,
    "/v1/batch/": segment.MAX_BODY_BYTES,
    "/webhooks/sendgrid/abc": feedback.MAX_BODY_BYTES,
    "/admin/login/": 5 * 2**20,
    "/u/token": 0,
    "/healthz": 0,
    "/": 0,
    "/v1": 0,
}


@pytest.mark.parametrize(("path", "limit"), LIMITS.items(), ids=LIMITS.keys())
def test_a_body_is_read_as_far_as_somebody_reads_it(path, limit):
    assert ways.body_limit(path) == limit


def environ(path):
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "HTTP_HOST": "evil.example",
        "HTTP_ORIGIN": "https://shop.example",
        "CONTENT_LENGTH": "10",
    }


@pytest.mark.parametrize("why", Refusal, ids=[why.value for why in Refusal])
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/track", {"success", "code", "message"}),
        ("/webhooks/sendgrid/abc", {"reason", "message"}),
        ("/readyz", {"error"}),
    ],
    ids=["events", "webhook", "health"],
)
def test_a_refusal_has_the_form_of_its_path(why, path, keys):
    answer = ways.refuse(why, environ(path))
    headers = dict(answer.headers)
    body = json.loads(answer.body)
    assert answer.status == {Refusal.BUSY: 503, Refusal.SLOW: 408}[why]
    assert (set(body), headers["Content-Length"]) == (keys, str(len(answer.body)))
    assert ("Retry-After" in headers) is (why is Refusal.BUSY)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (headers.get("Content-Disposition") == DISPOSITION) is (path != "/readyz")


def test_a_page_may_read_why_its_event_was_not_taken():
    headers = dict(ways.refuse(Refusal.BUSY, environ("/v1/t")).headers)
    assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After"


def test_people_are_told_in_plain_words():
    answer = ways.refuse(Refusal.SLOW, environ("/admin/login/"))
    assert dict(answer.headers)["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"The body did not arrive within 30 seconds; send it again."


def test_the_loop_answers_for_health_as_the_view_does(rf):
    handler = ways.handler("GET", "/healthz")
    answer = handler(Request({}, b"", is_whole=True))
    view = healthz(rf.get("/healthz"))
    assert (answer.status, answer.body) == (view.status_code, view.content)
    assert dict(answer.headers)["Content-Type"] == view["Content-Type"]
    assert dict(answer.headers)["Content-Length"] == str(len(view.content))


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/healthz"), ("GET", "/readyz"), ("GET", "/v1/track")],
    ids=["post", "ready", "event"],
)
def test_all_else_is_djangos(method, path):
    assert ways.handler(method, path) is None


def test_the_command_says_the_settings(settings):
    settings.PORT, settings.WEB_HEADER_S, settings.WEB_WORKERS = 8123, 7, 3
    words = " ".join(serving.command(kill_after_s=9))
    for said in (
        "--interface rsgi",
        "--http 1 ",
        "--port 8123",
        "--workers 3",
        "--http1-header-read-timeout 7000",
        "--workers-kill-timeout 9",
    ):
        assert said in words
    assert re.search(r"emailtriggers\.web:door$", words)


def test_a_worker_holds_no_more_clients_than_it_may_open_files(settings, monkeypatch):
    settings.WEB_CONNECTIONS, settings.WEB_THREADS = 10_000, 16
    for most, expected in ((1024, 892), (10**6, 10_000), (100, 1)):
        monkeypatch.setattr(serving.resource, "getrlimit", lambda _what, m=most: (m, m))
        assert serving.connections() == expected
