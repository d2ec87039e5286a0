"""The fuzzer's requests: the same of the same seed, and hostile in the way they say."""

import json
from itertools import islice
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fuzz import payloads
from fuzz.member import Tally
from fuzz.requests import CHUNK, WEIGHTS, Kind, Maker, Request, Target
from fuzz.values import changed, written


@pytest.fixture(scope="module")
def maker():
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return Maker(
        Target(
            port=1, key="k" * 32, public_key="p" * 32, webhook="/webhooks/sendgrid/x",
            signing_key=key, signed_at=1_790_000_000, links=["/u/abcdef"], items=[],
            metrics_token="t",
        )
    )  # fmt: skip


def unsigned(request):
    """A signature differs each time."""
    return request.data.partition(b"Signature")[0]


def test_the_same_seed_makes_the_same_requests_whatever_came_before(maker):
    first = [unsigned(r) for r in maker.chunk(7, 3)]
    for number in range(60):
        list(maker.chunk(8, number))
    assert [unsigned(r) for r in maker.chunk(7, 3)] == first
    assert [unsigned(r) for r in maker.chunk(7, 4)] != first
    assert len(first) == CHUNK


def test_most_are_json_under_a_right_key(maker):
    made = [r for number in range(30) for r in maker.chunk(1, number)]
    assert {r.kind for r in made} == set(WEIGHTS)
    events = [r for r in made if r.kind is Kind.EVENTS]
    assert len(events) > len(made) / 2
    for request in events:
        body = request.data.partition(b"\r\n\r\n")[2]
        json.loads(body.decode(errors="replace"))


def test_a_change_leaves_what_can_be_written():
    rng = Random(1)
    texts = {written(rng, changed(rng, payloads.track(rng))) for _ in range(3_000)}
    assert len(texts) > 2_500


def test_a_failure_is_found_with_what_led_to_it(maker):
    tally = Tally()
    request = next(islice(maker.chunk(1, 1), 1))
    tally.note(request, 200, 0.1)
    assert tally.found == []
    tally.note(Request(Kind.EVENTS, b"POST /v1/x"), 500, 0.1)
    tally.note(request, 400, 99.0)
    assert [line.split(":")[0] for line in tally.found] == [
        "answered 500",
        "answered after 99 s",
    ]
    assert tally.sent == 3
