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
from fuzz.forms import NoForm, multipart, read_form, urlencoded
from fuzz.heads import Kind, Request
from fuzz.member import Tally
from fuzz.requests import CHUNK, WEIGHTS, Maker, Target
from fuzz.staff import Staff
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
            metrics_token="t", metrics_port=2,
            staff=Staff(session="s", token="c" * 32, rules=[6], templates=[7]),
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


def test_a_call_counts_by_what_became_of_its_events():
    tally = Tally()
    call = Request(Kind.EVENTS, b"", events=2)
    tally.weigh(call, b'{"success": true}')
    tally.weigh(call, b'{"success": true, "rejected": [], "rejected_count": 1}')
    tally.weigh(call, b'{"success": true, "rejected": [], "rejected_count": 2}')
    tally.weigh(Request(Kind.EVENTS, b"", events=0), b'{"success": true}')
    both = Tally()
    both.add(tally)
    both.add(tally)
    assert (both.fruitful, both.fruitless) == (4, 2)


@pytest.mark.parametrize(
    ("path", "body", "events"),
    [
        ("/v1/track", {"batch": [1, 2]}, 1),
        ("/v1/track", "x", 1),
        ("/v1/batch", {"batch": [{}, {}, None]}, 3),
        ("/v1/b", {"batch": {}}, 0),
        ("/v1/import", [], 0),
    ],
)
def test_what_a_call_brings_is_known_before_it_is_sent(path, body, events):
    assert payloads.brought(path, body) == events


def test_an_unknown_method_is_no_failure_of_the_metrics_of_a_host():
    tally = Tally()
    tally.note(Request(Kind.HOST, b""), 501, 0.1)
    assert tally.found == []
    tally.note(Request(Kind.HOST, b""), 500, 0.1)
    tally.note(Request(Kind.LOOK, b""), 501, 0.1)
    assert len(tally.found) == 2


PAGE = b"""
<form id="other"><input name="no" value="1"></form>
<form id="rule_form" method="post"><input type="hidden" name="t" value="&lt;a&gt;">
<input name="name" value="Fuzz 1"><input type="checkbox" name="days" value="0" checked>
<input type="checkbox" name="days" value="1"><input type="submit" name="_save" value="x">
<select name="kind"><option value="a">A</option><option value="b" selected>B</option></select>
<select name="first"><option value="1">1</option><option value="2">2</option></select>
<textarea name="html">
&lt;p&gt;Hi</textarea><input name="steps-TOTAL_FORMS" value="1"><input name="steps-0-delay" value="5">
<div><input name="steps-__prefix__-delay" value="0"><input name="steps-__prefix__-id"></div>
</form><input name="outside" value="1">"""


def test_a_form_is_read_as_a_browser_would_post_it():
    form = read_form(PAGE, "rule_form")
    assert form.pairs == [
        ("t", "<a>"), ("name", "Fuzz 1"), ("days", "0"), ("kind", "b"), ("first", "1"),
        ("html", "<p>Hi"), ("steps-TOTAL_FORMS", "1"), ("steps-0-delay", "5"),
    ]  # fmt: skip
    assert form.choices["days"] == ["0", "1"]
    with pytest.raises(NoForm):
        read_form(PAGE, "template_form")


def test_a_row_is_added_as_the_page_would():
    form = read_form(PAGE, "rule_form")
    form.add_row("steps", template="7")
    assert form.pairs[-4:] == [
        ("steps-TOTAL_FORMS", "2"), ("steps-1-delay", "0"), ("steps-1-id", ""),
        ("steps-1-template", "7"),
    ]  # fmt: skip


def test_pairs_are_written_in_both_ways():
    pairs = [("a b", "\u202e&"), ("c", b"\xff"), ("d", "\ud800")]
    assert urlencoded(pairs) == b"a+b=%E2%80%AE%26&c=%FF&d=%3F"
    assert urlencoded(pairs[2:], errors="surrogatepass") == b"d=%ED%A0%80"
    assert multipart(pairs[:1]).count(b"fuzz-boundary") == 2


def test_forms_of_somebody_signed_in_are_filled_in_from_their_page(maker):
    rng = Random(3)
    made = [maker.signed_in(rng) for _ in range(400)]
    filled = [r.fill(PAGE) for r in made if r.fill and b"/rule/" in r.data]
    assert len(filled) > 20
    assert len(set(filled)) > len(filled) * 0.9
    assert all(b"Cookie: sessionid=s; csrftoken=" in r.data for r in made)
    assert sum(b"csrfmiddlewaretoken" in data for data in filled) > len(filled) * 0.8
    assert any(b"/template/preview/" in r.data for r in made)
    assert any(b"older_than=" in r.data for r in made)
