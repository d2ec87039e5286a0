"""Signing in to the admin: guessing is bounded, sessions end, cookies are guarded."""

import logging
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from emailtriggers.headers import DISPOSITION, POLICY
from emailtriggers.signing_in import OF_ACCOUNT, OF_NETWORK, TRIES

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
PASSWORD = "a-long-and-odd-word"


@pytest.fixture(autouse=True)
def ada():
    TRIES.forget()
    users = get_user_model().objects
    yield users.create_user("ada", password=PASSWORD, is_staff=True, is_superuser=True)
    TRIES.forget()


def sign_in(client, password=PASSWORD, name="ada", **headers):
    said = {"username": name, "password": password, "next": "/admin/"}
    return client.post("/admin/login/", said, headers=headers)


def is_in(client):
    return client.get("/admin/").status_code == 200


@pytest.fixture
def behind_a_proxy(settings):
    settings.TRUSTED_PROXIES = 1


def test_a_right_password_opens_a_session_of_its_own():
    client = Client()
    client.get("/admin/login/")
    assert not is_in(client)
    before = client.cookies["csrftoken"].value
    assert sign_in(client).status_code == 302
    assert is_in(client)
    assert len(client.cookies["sessionid"].value) == 32
    assert client.cookies["csrftoken"].value != before


def test_after_many_failures_even_the_right_password_waits():
    client = Client()
    for _ in range(OF_NETWORK[0]):
        sign_in(client, "wrong-password")
    sign_in(client)
    assert not is_in(client)
    TRIES.forget()
    sign_in(client)
    assert is_in(client)


def test_other_networks_and_accounts_sign_in_meanwhile(behind_a_proxy):
    for _ in range(2 * OF_NETWORK[0]):
        sign_in(Client(), "wrong-password", **{"X-Forwarded-For": "192.0.2.1"})
    elsewhere = Client()
    sign_in(elsewhere, **{"X-Forwarded-For": "192.0.2.2"})
    assert is_in(elsewhere)


def test_an_account_is_not_guessed_at_from_many_networks(behind_a_proxy):
    for n in range(OF_ACCOUNT[0]):
        sign_in(Client(), "wrong-password", **{"X-Forwarded-For": f"192.0.2.{n}"})
    client = Client()
    sign_in(client, **{"X-Forwarded-For": "198.51.100.1"})
    assert not is_in(client)


def test_successes_are_not_counted():
    for _ in range(OF_NETWORK[0] + 5):
        client = Client()
        sign_in(client)
        assert is_in(client)


def test_each_try_is_logged_without_name_and_password(caplog, ada):
    caplog.set_level(logging.INFO, "emailtriggers.signing_in")
    sign_in(Client(), "wrong-password")
    sign_in(Client())
    told = [r.getMessage() for r in caplog.records if "sign" in r.name]
    assert told == ["a sign-in failed", f"user {ada.pk} signed in"]


def test_unknown_and_known_names_are_answered_alike():
    texts = [
        re.sub(r'value="[^"]*"', "", sign_in(Client(), "wrong-password", name).text)
        for name in ("ada", "bob")
    ]
    assert texts[0] == texts[1]


def test_a_session_ends_after_half_a_day_and_by_signing_out():
    client = Client()
    sign_in(client)
    ends = client.session.get_expiry_date() - timezone.now()
    assert timedelta(hours=11) < ends <= timedelta(hours=12)
    assert client.cookies["sessionid"]["max-age"] == 12 * 60 * 60
    kept = client.cookies["sessionid"].value
    client.post("/admin/logout/")
    again = Client()
    again.cookies["sessionid"] = kept
    assert not is_in(again)


def test_another_password_ends_all_other_sessions(ada):
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    said = {
        "old_password": PASSWORD,
        "new_password1": "quite-another-word",
        "new_password2": "quite-another-word",
    }
    assert here.post("/admin/password_change/", said).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    wrong = here.post("/admin/password_change/", said)
    assert wrong.status_code == 200, "the old password is asked for"


@pytest.mark.parametrize(
    ("password", "is_fine"),
    [
        ("elevenchars", False),
        ("twelve-chars", True),
        ("password1234", False),
        ("correct horse 🐎 staple", True),
        ("x y" * 30, True),
        ("xy-" * 43, False),
    ],
    ids=["short", "long-enough", "common", "any-signs", "a-sentence", "too-long"],
)
def test_passwords_are_long_not_common_and_of_any_signs(password, is_fine):
    try:
        validate_password(password)
    except ValidationError:
        assert not is_fine
    else:
        assert is_fine


def test_the_hash_is_salted_and_slow(ada):
    algorithm, rounds, salt, _ = ada.password.split("$")
    assert (algorithm, int(rounds) >= 600_000, len(salt)) == ("pbkdf2_sha256", True, 22)


def test_pages_are_neither_kept_nor_framed_nor_sniffed():
    client = Client()
    sign_in(client)
    for page in (client.get("/admin/"), client.get("/admin/campaigns/rule/")):
        assert "no-store" in page["Cache-Control"]
        assert page["Content-Security-Policy"] == POLICY
        assert page["X-Content-Type-Options"] == "nosniff"
        assert page["X-Frame-Options"] == "SAMEORIGIN"
        assert page["Referrer-Policy"] == "same-origin"
        assert page["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/v1/track", "/healthz", "/readyz", "/webhooks/x"])
def test_programs_answers_carry_no_policy_for_pages(path):
    answer = Client().get(path)
    assert "Content-Security-Policy" not in answer
    assert answer["X-Content-Type-Options"] == "nosniff"


API_CALLS = (
    ("POST", "/v1/track"),
    ("POST", "/v1/m"),
    ("GET", "/v1/batch"),
    ("OPTIONS", "/v1/t"),
    ("GET", "/v1/projects/nobody/settings"),
    ("GET", "/v1/a/b.bat"),
    ("POST", "/webhooks/sendgrid/nobody"),
    ("GET", "/webhooks/setup.bat"),
)


@pytest.mark.parametrize(("method", "path"), API_CALLS)
def test_no_answer_of_an_api_is_shown_as_a_page_or_saved_under_a_name_of_its_path(
    method, path
):
    for host in ("localhost", "evil.example"):
        answer = Client().generic(method, path, headers={"host": host})
        assert answer["Content-Disposition"] == DISPOSITION
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert method == "OPTIONS" or answer["Content-Type"] == "application/json"


def test_browsers_may_fill_passwords_in():
    client = Client()
    asked = client.get("/admin/login/")
    sign_in(client)
    changed = client.get("/admin/password_change/")
    fields = [
        re.search(r'autocomplete="([^"]*)"', field)[1]
        for page in (asked, changed)
        for field in re.findall(r'<input[^>]*type="password"[^>]*>', page.text)
    ]
    assert fields == ["current-password"] * 2 + ["new-password"] * 2
    assert "onpaste" not in asked.text + changed.text


def test_no_password_is_recovered_by_mail_or_hint():
    client = Client()
    assert "orgotten" not in client.get("/admin/login/").text
    sign_in(client)
    for name in ("password_reset", "reset"):
        assert client.get(f"/admin/{name}/").status_code == 404


ASK = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
request = RequestFactory().get("/admin/login/", secure=True, headers={"host": "mail.example.com"})
answer = WSGIHandler().get_response(request)
print(answer.cookies.output())
print(answer["Strict-Transport-Security"])
from django.conf import settings
print(settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE,
      settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE)
"""


def test_by_https_cookies_are_of_this_host_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env={
            **{k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
            "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
            "PUBLIC_URL": "https://mail.example.com",
            "VAR_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    cookie, hsts, session = done.stdout.splitlines()
    assert cookie.startswith("Set-Cookie: __Host-csrftoken=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert hsts.startswith("max-age=31536000")
    assert session == "__Host-sessionid True True Lax"
