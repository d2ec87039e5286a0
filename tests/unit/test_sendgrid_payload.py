"""The payload is what SendGrid's official schema takes, byte for byte as expected."""

import dataclasses
import json
from pathlib import Path

import pytest

from campaigns.domain.mail import OutgoingEmail
from campaigns.providers.sendgrid.payload import PayloadInvalid, body_of, payload_of
from demo.sendgrid_simulator import mail as official

GOLDEN = Path(__file__).parent / "golden"
FULL = OutgoingEmail(
    to_email="ada@example.com",
    to_name='Ada, "Countess"; Lovelace',
    from_email="shop@example.com",
    from_name="Shop (Berlin)",
    reply_to="help@example.com",
    subject="Grüße, Ada",
    html="<p>Hi</p>",
    text="Hi",
    headers={
        "List-Unsubscribe": "<https://example.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Message-ID": "<1@example.com>",
    },
    categories=("welcome", "marketing"),
    custom_args={"et_message": "42", "et_token": "abc"},
)
PLAIN = OutgoingEmail(
    to_email="ada@example.com",
    to_name="",
    from_email="shop@example.com",
    from_name="",
    reply_to="",
    subject="Receipt",
    html="",
    text="Paid",
)


@pytest.mark.parametrize(("name", "email"), [("full", FULL), ("plain", PLAIN)])
def test_the_payload_is_the_golden_one_and_valid(name, email):
    payload = payload_of(email)
    golden = json.loads((GOLDEN / f"sendgrid_{name}.json").read_text("utf-8"))
    assert payload == golden
    official.check(payload, now_s=0)


def test_sandbox_mode_is_asked_for_only_when_wanted():
    payload = payload_of(FULL, sandbox=True)
    assert payload["mail_settings"] == {"sandbox_mode": {"enable": True}}
    official.check(payload, now_s=0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"to_email": "nobody"}, "to_email"),
        ({"to_email": "a@b.c\r\nBcc: x@y.z"}, "to_email"),
        ({"to_email": "a@b.c, d@e.f"}, "to_email"),
        ({"to_email": "a" * 400 + "@example.com"}, "to_email"),
        ({"from_email": ""}, "from_email"),
        ({"reply_to": "x"}, "reply_to"),
        ({"subject": " "}, "subject is empty"),
        ({"subject": "a\nBcc: b"}, "subject holds"),
        ({"to_name": "a\x00"}, "to_name holds"),
        ({"html": "", "text": ""}, "both empty"),
        ({"headers": {"reply-to": "x"}}, "reply-to itself"),
        ({"headers": {"X Y": "x"}}, "no header name"),
        ({"headers": {"X-Y": "x\r\nBcc: y"}}, "line break"),
        ({"categories": ("a", "a")}, "named twice"),
        ({"categories": ("",)}, "1 to 255"),
        ({"categories": tuple("abcdefghijk")}, "at most 10"),
        ({"custom_args": {"a": "é" * 5_000}}, "10000 are allowed"),
        ({"text": "x" * 30_000_001}, "30000000 are allowed"),
    ],
)
def test_what_sendgrid_would_refuse_is_named_before_the_call(changes, says):
    with pytest.raises(PayloadInvalid, match=says):
        body_of(dataclasses.replace(FULL, **changes))


@pytest.mark.parametrize("email", [FULL, PLAIN], ids=["full", "plain"])
def test_the_body_is_the_payload_as_json(email):
    assert json.loads(body_of(email)) == payload_of(email)


def test_what_cannot_be_encoded_is_refused_and_not_raised_otherwise():
    with pytest.raises(PayloadInvalid):
        body_of(dataclasses.replace(FULL, html="\ud800"))
