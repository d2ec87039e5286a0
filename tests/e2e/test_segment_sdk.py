"""Segment's official SDK for Python, with only host and key changed."""

import http.client
import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from segment.analytics import Client

from campaigns.models import Event, RejectedEvent
from campaigns.receive.wire.segment import MAX_BODY_BYTES
from tests.e2e.live import clean_server, write_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clean(monkeypatch, transactional_db):
    with clean_server(monkeypatch):
        yield


class Reported:
    """The SDK's own report of what failed."""

    def __init__(self):
        self.errors = []

    def __call__(self, error, items):
        self.errors.append(error)


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def sdk(request, live_server):
    reported = Reported()
    client = Client(
        write_key(), host=live_server.url, on_error=reported, gzip=request.param
    )
    client.reported = reported
    yield client
    client.join()


def test_every_call_arrives_as_it_was_meant(sdk):
    sdk.identify("u1", {"email": "ada@example.com"}, anonymous_id="a1")
    sdk.track("u1", "Order Completed", {"total": 42.5})
    sdk.track(anonymous_id="a1", event="Cart Viewed")
    sdk.page("u1", name="Pricing")
    sdk.screen("u1", name="Home")
    sdk.alias("a1", "u1")
    sdk.group("u1", "acme", {"name": "Acme"})
    sdk.flush()

    assert sdk.reported.errors == []
    events = {(e.type, e.name): e for e in Event.objects.all()}
    assert set(events) == {
        ("identify", ""),
        ("track", "Order Completed"),
        ("track", "Cart Viewed"),
        ("page", "Viewed Pricing Page"),
        ("screen", "Viewed Home Screen"),
        ("alias", ""),
        ("group", ""),
    }
    assert events["track", "Order Completed"].properties == {"total": 42.5}
    assert len({e.customer_id for e in events.values()}) >= 1
    assert not RejectedEvent.objects.exists()


def test_a_historical_import_keeps_its_time(sdk):
    at = timezone.now() - timedelta(days=400)
    sdk.track("u1", "Signed Up", timestamp=at)
    sdk.flush()
    assert abs(Event.objects.get().occurred_at - at) < timedelta(seconds=5)


def test_a_batch_of_hundreds_arrives_once_each(sdk):
    for number in range(300):
        sdk.track("u1", "Counted", {"n": number})
    sdk.flush()
    assert sdk.reported.errors == []
    kept = sorted(e.properties["n"] for e in Event.objects.all())
    assert kept == list(range(300))


def test_a_wrong_key_is_reported_to_the_program(live_server):
    write_key()
    reported = Reported()
    client = Client("wrong", host=live_server.url, on_error=reported)
    client.track("u1", "Signed Up")
    client.flush()
    client.join()
    (error,) = reported.errors
    assert error.status == 401
    assert error.code == "unknown_key"
    assert not Event.objects.exists()


def test_an_oversized_body_is_refused_over_the_wire(live_server):
    key = write_key()
    place = urlsplit(live_server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    connection.putrequest("POST", f"/v1/track?writeKey={key}")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES * 20))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 400
    assert json.loads(response.read())["code"] == "body_too_large"
    connection.close()
