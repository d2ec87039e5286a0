"""SendGrid's webhook signature: only what was truly signed, lately, passes."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.signatures import (
    CLOCK_TOLERANCE,
    KeyInvalid,
    Verdict,
    parse_key,
    verify_sendgrid,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SIGNED_AT = str(int(NOW.timestamp()))
MAX_AGE = timedelta(hours=26)
BODY = b'[{"event":"delivered"}\r\n,\r\n{"event":"open"}]\r\n'


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def shown(key) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def signature(key, body=BODY, timestamp=SIGNED_AT) -> str:
    raw = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(raw).decode()


KEY = new_key()
OTHER = new_key()
SIGNATURE = signature(KEY)


def verdict(**changes) -> Verdict:
    facts = {
        "body": BODY,
        "signature": SIGNATURE,
        "timestamp": SIGNED_AT,
        "keys": [shown(KEY)],
        "now": NOW,
        "max_age": MAX_AGE,
    } | changes
    return verify_sendgrid(facts.pop("body"), **facts)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def test_what_sendgrid_signed_passes():
    assert verdict() is Verdict.OK


def test_the_line_ends_count():
    assert verdict(body=BODY.replace(b"\r\n", b"")) is Verdict.BAD_SIGNATURE
    assert verdict(body=BODY.rstrip(b"\r\n")) is Verdict.BAD_SIGNATURE


def test_any_of_several_keys_will_do_and_a_spoilt_one_does_no_harm():
    keys = ["spoilt", shown(OTHER), shown(KEY)]
    assert verdict(keys=keys) is Verdict.OK


def test_a_key_that_is_not_ours_does_not_pass():
    assert verdict(keys=[shown(OTHER)]) is Verdict.BAD_SIGNATURE


@pytest.mark.parametrize("keys", [[], [""], ["spoilt"], ["AAAA"], ["é" * 40]])
def test_without_a_usable_key_nothing_passes(keys):
    assert verdict(keys=keys) is Verdict.BAD_KEY


@pytest.mark.parametrize("missing", ["signature", "timestamp"])
def test_a_missing_header_is_refused(missing):
    assert verdict(**{missing: ""}) is Verdict.NO_SIGNATURE


@pytest.mark.parametrize(
    "timestamp",
    ["soon", "-1", "1.5", "0x10", "٣" * 10, " 1", "9" * 13, "9" * 12, "1" * 5000],
)
def test_a_timestamp_that_is_none_is_refused(timestamp):
    assert verdict(timestamp=timestamp) is Verdict.BAD_TIMESTAMP


def test_a_timestamp_from_the_future_is_refused_but_clocks_may_differ():
    ahead = NOW - CLOCK_TOLERANCE
    assert verdict(now=ahead) is Verdict.OK
    assert verdict(now=ahead - timedelta(seconds=1)) is Verdict.BAD_TIMESTAMP


def test_a_replay_is_stale_only_after_the_age_and_only_if_truly_signed():
    assert verdict(now=NOW + MAX_AGE) is Verdict.OK
    late = NOW + MAX_AGE + timedelta(seconds=1)
    assert verdict(now=late) is Verdict.STALE
    assert verdict(now=late, body=b"[]") is Verdict.BAD_SIGNATURE


@pytest.mark.parametrize(
    "text",
    ["!", "AAAA", "é", SIGNATURE + "=", SIGNATURE + "\n", "A" * 300],
    ids=["sign", "short", "accent", "padded", "line end", "long"],
)
def test_a_signature_that_is_none_is_refused(text):
    assert verdict(signature=text) is Verdict.BAD_SIGNATURE


@given(bit=st.integers(0, len(BODY) * 8 - 1))
def test_any_flipped_bit_of_the_body_fails(bit):
    assert verdict(body=flipped(BODY, bit)) is Verdict.BAD_SIGNATURE


@given(bit=st.integers(0, len(SIGNATURE) * 8 - 1))
def test_any_flipped_bit_of_the_signature_fails(bit):
    text = flipped(SIGNATURE.encode(), bit).decode("latin-1")
    assert verdict(signature=text) is Verdict.BAD_SIGNATURE


@given(bit=st.integers(0, len(SIGNED_AT) * 8 - 1))
def test_any_flipped_bit_of_the_timestamp_fails(bit):
    text = flipped(SIGNED_AT.encode(), bit).decode("latin-1")
    assert verdict(timestamp=text) is not Verdict.OK


@given(st.binary(max_size=60), st.text(max_size=99), st.text(max_size=20), st.text())
def test_nothing_raises_and_nothing_made_up_passes(body, sig, timestamp, key):
    found = verdict(body=body, signature=sig, timestamp=timestamp, keys=[key])
    assert found is not Verdict.OK


def test_a_key_may_be_pasted_as_pem_or_with_line_breaks():
    plain = shown(KEY)
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert verdict(keys=[pem.decode()]) is Verdict.OK
    assert verdict(keys=[f" {plain[:50]}\r\n{plain[50:]}\n"]) is Verdict.OK


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 characters"),
        ("A" * 2000, "2000 characters"),
        ("not a key", "not base64"),
        (shown(new_key(ec.SECP384R1())), "P-256"),
        (shown(ed25519.Ed25519PrivateKey.generate()), "P-256"),
    ],
    ids=["empty", "long", "words", "other curve", "other kind"],
)
def test_a_text_that_is_no_key_is_refused_and_says_what_to_paste(text, says):
    with pytest.raises(KeyInvalid, match=says) as refused:
        parse_key(text)
    assert "Event Webhook" in str(refused.value)
