"""The SendGrid simulator answers, refuses, remembers and posts as SendGrid does."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from campaigns.domain.provider_events import DeliveryType, read_batch
from campaigns.domain.signatures import Verdict, verify_sendgrid
from demo.sendgrid_simulator import Simulator
from demo.sendgrid_simulator.keys import KeyFileInvalid, SigningKey
from demo.sendgrid_simulator.store import DataFolderInvalid
from tests.e2e.simulated import WAIT_S, Hook, call, payload, quiet_mail, send


@pytest.fixture
def simulator():
    running = Simulator().start()
    yield running
    running.stop()


def verdict(headers, body, key) -> Verdict:
    return verify_sendgrid(
        body,
        signature=headers["X-Twilio-Email-Event-Webhook-Signature"],
        timestamp=headers["X-Twilio-Email-Event-Webhook-Timestamp"],
        keys=[key],
        now=datetime.now(tz=UTC),  # noqa: TID251 - a real server's clock
        max_age=timedelta(minutes=5),
    )


def test_a_good_mail_is_accepted_and_can_be_read(simulator):
    answer = send(simulator)
    assert (answer.status, answer.body) == (202, b"")
    mail = call(simulator, "GET", "/api/messages?to=ADA@example.com").json()[0]
    assert mail["id"] == answer.headers["X-Message-Id"]
    assert mail["subject"] == "Hello <script>"
    assert mail["custom_args"] == {"et_message": "7"}
    assert {"to", "from", "html", "text", "headers", "categories"} < set(mail)
    assert call(simulator, "GET", "/api/messages?to=bob@example.com").json() == []
    assert call(simulator, "DELETE", "/api/messages").status == 204
    assert simulator.messages() == []


def test_the_newest_comes_first_and_the_limit_holds(simulator):
    for subject in ("one", "two", "three"):
        assert send(simulator, subject=subject).status == 202
    mails = call(simulator, "GET", "/api/messages?limit=2").json()
    assert [mail["subject"] for mail in mails] == ["three", "two"]
    assert call(simulator, "GET", "/api/messages?limit=x").status == 400


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"from": {"name": "nobody"}}, "email"),
        ({"personalizations": []}, "at least one"),
        ({"personalizations": [{"to": []}]}, "to array"),
        ({"personalizations": "text"}, "array"),
        ({"subject": ""}, "non-empty"),
        ({"content": []}, "content parameter is required"),
        ({"content": [{"type": "text/html", "value": ""}]}, "non-empty"),
        ({"headers": {"Reply-To": "x@example.com"}}, "reserved"),
        ({"headers": {"X-A": "a\r\nBcc: b@example.com"}}, "line breaks"),
        ({"custom_args": {"a": "x" * 10_001}}, "10000 bytes"),
        ({"custom_args": {"a": 1}}, "strings"),
        ({"categories": ["same", "same"]}, "unique"),
        ({"send_at": 4_000_000_000}, "72 hours"),
        (
            {
                "personalizations": [
                    {
                        "to": [{"email": "a@example.com"}],
                        "cc": [{"email": "A@example.com"}],
                    }
                ]
            },
            "unique between",
        ),
        (
            {
                "content": [
                    {"type": "text/html", "value": "b"},
                    {"type": "text/plain", "value": "a"},
                ]
            },
            "first content type",
        ),
    ],
)
def test_what_sendgrid_refuses_is_refused(simulator, changes, says):
    answer = send(simulator, **changes)
    assert answer.status == 400
    assert says in " ".join(e["message"] for e in answer.json()["errors"])
    assert simulator.messages() == []


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer ", "Basic abc"])
def test_without_a_key_nothing_passes(simulator, key):
    answer = call(simulator, "POST", "/v3/mail/send", payload(), Authorization=key)
    assert answer.status == 401
    assert simulator.messages() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v3/mail/send", b"{", {"Content_Type": "application/json"}, 400),
        ("POST", "/v3/mail/send", b"[]", {"Content_Type": "application/json"}, 400),
        (
            "POST",
            "/v3/mail/send",
            b"[" * 90_000,
            {"Content_Type": "application/json"},
            400,
        ),
        ("POST", "/v3/mail/send", b"{}", {"Content_Type": "text/plain"}, 415),
        ("GET", "/v3/mail/send", None, {}, 405),
        ("GET", "/v3/nothing", None, {}, 404),
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/mail/nobody", None, {}, 404),
        ("PUT", "/api/faults", b'[{"kind":"odd"}]', {}, 400),
        ("PUT", "/api/faults", b'[{"kind":"status","rate":7}]', {}, 400),
        ("PUT", "/api/faults", b'{"rules":[],"seed":"x"}', {}, 400),
        ("PUT", "/api/webhook", b'{"url":"file:///etc/passwd"}', {}, 400),
        ("POST", "/api/events", b'{"message":"nobody","event":"open"}', {}, 404),
        ("DELETE", "/api/messages", None, {"Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
def test_odd_requests_get_a_clear_refusal(
    simulator, method, path, body, headers, status
):
    answer = call(simulator, method, path, body, **headers)
    assert answer.status == status
    assert answer.json()["errors"][0]["message"]


def test_a_body_that_is_too_large_is_refused_unread(simulator):
    answer = call(
        simulator, "POST", "/v3/mail/send", b"", Content_Length=str(40 * 1024 * 1024)
    )
    assert answer.status == 413


def test_sandbox_mode_checks_and_keeps_nothing(simulator):
    settings = {"sandbox_mode": {"enable": True}}
    assert send(simulator, mail_settings=settings).status == 200
    assert simulator.messages() == []


def test_events_are_signed_with_line_ends_and_tell_of_the_delivery(simulator):
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        message_id = send(simulator).headers["X-Message-Id"]
        headers, body = hook.got.get(timeout=WAIT_S)
        assert verdict(headers, body, simulator.public_key) is Verdict.OK
        assert body.endswith(b"]\r\n")
        assert b"\r\n," in body
        events = read_batch(body).events
        assert [e.type for e in events] == [
            DeliveryType.PROCESSED,
            DeliveryType.DELIVERED,
        ]
        assert {e.provider_message_id for e in events} == {message_id}
        assert {e.message_ref for e in events} == {"7"}


def test_a_refused_webhook_comes_again(simulator):
    with Hook(500, 302) as hook:
        simulator.webhooks.url = hook.url
        send(simulator)
        bodies = [hook.got.get(timeout=WAIT_S)[1] for _ in range(3)]
        assert bodies[0] == bodies[1] == bodies[2]


def test_mail_to_a_suppressed_address_is_accepted_and_dropped(simulator):
    emails = {"recipient_emails": ["ada@example.com"]}
    assert call(simulator, "POST", "/v3/asm/suppressions/global", emails).status == 201
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        assert send(simulator).status == 202
        event = hook.events(1)[0]
        assert (event.type, event.reason) == (
            DeliveryType.DROPPED,
            "Unsubscribed Address",
        )
    path = "/v3/asm/suppressions/global/ada@example.com"
    assert call(simulator, "GET", path).json() == {"recipient_email": "ada@example.com"}
    assert call(simulator, "DELETE", path).status == 204
    assert call(simulator, "GET", path).json() == {}


@pytest.mark.parametrize(
    ("name", "listed", "kind"),
    [
        ("bounce", "bounces", DeliveryType.BOUNCED),
        ("spamreport", "spam_reports", DeliveryType.COMPLAINED),
    ],
)
def test_any_event_can_be_made_and_sendgrid_remembers_it(simulator, name, listed, kind):
    mail_id = quiet_mail(simulator)
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        wanted = {"message": mail_id, "event": name, "ip": "192.0.2.1"}
        assert call(simulator, "POST", "/api/events", wanted).status == 201
        assert hook.events(1)[0].type is kind
    found = call(simulator, "GET", f"/v3/suppression/{listed}?limit=1").json()
    assert [entry["email"] for entry in found] == ["ada@example.com"]
    path = f"/v3/suppression/{listed}/ada@example.com"
    assert call(simulator, "DELETE", path).status == 204
    assert call(simulator, "DELETE", path).status == 404


def test_a_fault_strikes_as_often_as_asked_and_can_be_cleared(simulator):
    rule = {"kind": "status", "status": 429, "retry_after": 3, "times": 2}
    assert call(simulator, "PUT", "/api/faults", [rule]).status == 200
    answers = [send(simulator) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 202]
    assert answers[0].headers["Retry-After"] == "3"
    call(simulator, "PUT", "/api/faults", {"status": {"503": 1}, "delay_ms": 1})
    assert len(call(simulator, "GET", "/api/faults").json()) == 2
    assert send(simulator).status == 503
    assert call(simulator, "DELETE", "/api/faults").json() == []
    assert send(simulator).status == 202


def test_hand_overs_are_counted_even_when_the_answer_was_lost(simulator):
    simulator.faults({"kind": "drop_after_accept", "times": 1})
    with pytest.raises(OSError, match="closed connection"):
        send(simulator)
    send(simulator)
    assert simulator.handovers() == {"7": 2}
    simulator.faults({"kind": "drop_before_accept", "times": 1})
    with pytest.raises(OSError, match="closed connection"):
        send(simulator)
    assert call(simulator, "GET", "/api/handovers").json() == [
        {"message": "7", "count": 2}
    ]


def test_webhooks_can_be_doubled_and_silenced(simulator):
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        simulator.faults({"kind": "webhook_duplicate", "times": 1})
        send(simulator)
        events = hook.events(4)
        assert len({event.id_key for event in events}) == 2
        simulator.faults({"kind": "webhook_off", "times": 1})
        send(simulator, subject="silent")
        mail_id = send(simulator).headers["X-Message-Id"]
        assert {e.provider_message_id for e in hook.events(2)} == {mail_id}


def test_webhook_settings_and_domains_are_shown(simulator):
    settings = "/v3/user/webhooks/event/settings"
    signed = call(simulator, "GET", f"{settings}/signed").json()
    assert signed["public_key"] == simulator.public_key
    changed = {"url": "https://example.com/hook", "enabled": True, "open": False}
    assert call(simulator, "PATCH", settings, changed).json()["open"] is False
    assert call(simulator, "GET", settings).json()["url"] == changed["url"]
    domain = call(simulator, "GET", "/v3/whitelabel/domains").json()[0]
    path = f"/v3/whitelabel/domains/{domain['id']}/validate"
    assert call(simulator, "POST", path, {}).json()["valid"] is True


def test_mails_counts_lists_and_the_key_survive_a_restart(tmp_path):
    first = Simulator(data=tmp_path).start()
    send(first)
    first.store.suppress("bounces", "bob@example.com")
    before = (first.messages(), first.handovers(), first.public_key)
    first.stop()
    with (tmp_path / "simulator.jsonl").open("a") as file:
        file.write('{"mail": {"id": "cut by a cra')
    second = Simulator(data=tmp_path)
    second.start()
    assert (second.messages(), second.handovers(), second.public_key) == before
    assert second.store.dropped_for("bob@example.com") == "Bounced Address"
    second.stop()


def test_a_spoilt_data_folder_is_named(tmp_path):
    (tmp_path / "simulator.jsonl").write_text("{}\nspoilt\n")
    with pytest.raises(DataFolderInvalid, match="line 2"):
        Simulator(data=tmp_path)
    (tmp_path / "key.pem").write_text("spoilt")
    with pytest.raises(KeyFileInvalid, match=r"key\.pem"):
        SigningKey.kept_in(tmp_path / "key.pem")


def test_the_inbox_escapes_everything_and_bounds_the_mail(simulator):
    mail_id = send(simulator).headers["X-Message-Id"]
    for path in ("/", "/list", f"/mail/{mail_id}", f"/mail/{mail_id}?tab=source"):
        page = call(simulator, "GET", path)
        assert b"Hello <script>" not in page.body
        assert b"Hello &lt;script&gt;" in page.body
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    html = call(simulator, "GET", f"/mail/{mail_id}/html")
    assert html.headers["Content-Security-Policy"].startswith("sandbox")
    found = call(simulator, "GET", "/?q=%22%3E%3Cscript%3E").body
    assert b'"><script>' not in found


def test_reading_clicking_and_buttons_make_events(simulator):
    mail_id = quiet_mail(simulator)
    with Hook() as hook:
        simulator.webhooks.url = hook.url
        call(simulator, "GET", f"/mail/{mail_id}")
        assert hook.events(1)[0].type is DeliveryType.OPENED
        html = call(simulator, "GET", f"/mail/{mail_id}/html").body.decode()
        assert f'href="/click/{mail_id}/0"' in html
        click = call(simulator, "GET", f"/click/{mail_id}/0")
        assert click.headers["Location"] == "https://shop.example/?a=1&b=2"
        assert hook.events(1)[0].url == "https://shop.example/?a=1&b=2"
        assert call(simulator, "POST", f"/mail/{mail_id}/act/spam").status == 303
        assert hook.events(1)[0].type is DeliveryType.COMPLAINED
    assert call(simulator, "GET", f"/click/{mail_id}/1").status == 404


def test_the_unsubscribe_button_posts_one_click(simulator):
    with Hook() as hook:
        headers = {"List-Unsubscribe": f"<mailto:x@example.com>, <{hook.url}?t=1>"}
        mail_id = send(simulator, headers=headers).headers["X-Message-Id"]
        answer = call(simulator, "POST", f"/mail/{mail_id}/act/unsubscribe")
        assert "answered+200" in answer.headers["Location"]
        assert hook.got.get(timeout=WAIT_S)[1] == b"List-Unsubscribe=One-Click"


def test_many_at_once_are_all_kept(simulator):
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda: [send(simulator) for _ in range(10)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert simulator.handovers() == {"7": 80}
    assert time.monotonic() - began < 30
