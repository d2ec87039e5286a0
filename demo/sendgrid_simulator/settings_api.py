"""SendGrid's own settings: suppressions, domain authentication, webhooks."""

from typing import Final, cast
from urllib.parse import unquote

from demo.sendgrid_simulator.answers import RefusedRequest, Reply, as_json, json_object
from demo.sendgrid_simulator.keys import SigningKey
from demo.sendgrid_simulator.store import LISTS, Store
from demo.sendgrid_simulator.webhooks import Webhooks

MAX_PAGE: Final = 500
GLOBAL: Final = ["asm", "suppressions", "global"]
HOOKS: Final = ["user", "webhooks", "event", "settings"]
DOMAIN: Final = {
    "id": 1,
    "user_id": 1,
    "domain": "example.com",
    "subdomain": "em1",
    "username": "simulator",
    "ips": [],
    "custom_spf": False,
    "default": True,
    "legacy": False,
    "automatic_security": True,
    "valid": True,
    "dns": {
        "mail_cname": {
            "valid": True,
            "type": "cname",
            "host": "em1.example.com",
            "data": "u1.wl1.sendgrid.net",
        },
        "dkim1": {
            "valid": True,
            "type": "cname",
            "host": "s1._domainkey.example.com",
            "data": "s1.domainkey.u1.wl1.sendgrid.net",
        },
        "dkim2": {
            "valid": True,
            "type": "cname",
            "host": "s2._domainkey.example.com",
            "data": "s2.domainkey.u1.wl1.sendgrid.net",
        },
    },
}


class Settings:
    """The endpoints below /v3 that are not mail/send."""

    def __init__(self, store: Store, webhooks: Webhooks, key: SigningKey) -> None:
        self._store = store
        self._webhooks = webhooks
        self._key = key

    def answer(
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> Reply:
        """Answer a request; `path` begins with /v3/."""
        parts = [unquote(part) for part in path.split("/")[2:]]
        if parts[:3] == GLOBAL:
            return self._global(method, parts[3:], body)
        if parts[:1] == ["suppression"] and len(parts) in (2, 3):
            return self._suppression(method, parts[1:], query, body)
        if parts[:4] == HOOKS:
            return self._hooks(method, parts[4:], body)
        if parts[:2] == ["whitelabel", "domains"]:
            return _domains(method, parts[2:])
        if parts == ["scopes"] and method == "GET":
            return as_json(
                {"scopes": ["mail.send", "user.webhooks.event.settings.read"]}
            )
        raise RefusedRequest(404, "not found")

    def _global(self, method: str, rest: list[str], body: bytes) -> Reply:
        if method == "POST" and not rest:
            emails = json_object(body).get("recipient_emails")
            if not isinstance(emails, list) or not all(
                isinstance(email, str) and "@" in email for email in emails
            ):
                raise RefusedRequest(
                    400, "a list of e-mail addresses is required", at="recipient_emails"
                )
            for email in emails:
                self._store.suppress("global", email)
            return as_json({"recipient_emails": emails}, status=201)
        if len(rest) != 1:
            raise RefusedRequest(405, "method not allowed")
        if method == "GET":
            found = self._store.listed("global", rest[0])
            return as_json({"recipient_email": found[0]["email"]} if found else {})
        return self._lift(method, "global", rest[0])

    def _suppression(
        self, method: str, parts: list[str], query: dict[str, str], body: bytes
    ) -> Reply:
        name = "global" if parts[0] == "unsubscribes" else parts[0]
        if name not in LISTS:
            raise RefusedRequest(404, "not found")
        if method == "GET":
            found = self._store.listed(name, parts[1] if len(parts) == 2 else None)
            return as_json(_page(found, query))
        if len(parts) == 2:
            return self._lift(method, name, parts[1])
        if method != "DELETE":
            raise RefusedRequest(405, "method not allowed")
        wanted = json_object(body)
        listed = [str(entry["email"]) for entry in self._store.listed(name)]
        emails = listed if wanted.get("delete_all") is True else wanted.get("emails")
        for email in emails if isinstance(emails, list) else []:
            self._store.lift(name, str(email))
        return Reply(204)

    def _lift(self, method: str, name: str, email: str) -> Reply:
        if method != "DELETE":
            raise RefusedRequest(405, "method not allowed")
        if not self._store.lift(name, email):
            raise RefusedRequest(404, "not found")
        return Reply(204)

    def _hooks(self, method: str, rest: list[str], body: bytes) -> Reply:
        if rest[:1] == ["signed"] and method == "GET":
            return as_json({"id": "simulator", "public_key": self._key.public()})
        if rest == ["all"] and method == "GET":
            return as_json({"max_allowed": 1, "webhooks": [self._hook()]})
        if method == "PATCH" and len(rest) <= 1:
            self._patch(json_object(body))
        elif method != "GET":
            raise RefusedRequest(405, "method not allowed")
        return as_json(self._hook())

    def _patch(self, wanted: dict[str, object]) -> None:
        url, enabled = wanted.get("url"), wanted.get("enabled")
        if url is not None:
            self._webhooks.url = checked_url(url)
        if enabled is not None:
            self._webhooks.enabled = enabled is True
        flags = {k: v for k, v in wanted.items() if isinstance(v, bool)}
        self._webhooks.flags |= {k: v for k, v in flags.items() if k != "enabled"}

    def _hook(self) -> dict[str, object]:
        names = (
            "group_resubscribe delivered group_unsubscribe spam_report bounce deferred"
            " unsubscribe processed open click dropped"
        )
        flags = {name: self._webhooks.flags.get(name, True) for name in names.split()}
        return {
            "id": "simulator",
            "enabled": self._webhooks.enabled,
            "url": self._webhooks.url,
            "friendly_name": "Simulator",
            "public_key": self._key.public(),
            **flags,
        }


def checked_url(url: object) -> str:
    """Return `url` if it can be posted to; '' switches the webhook off."""
    if not isinstance(url, str) or not (
        url == "" or url.startswith(("http://", "https://"))
    ):
        raise RefusedRequest(400, "an http(s) URL is required", at="url")
    return url


def _page(
    found: list[dict[str, object]], query: dict[str, str]
) -> list[dict[str, object]]:
    def number(name: str, default: int) -> int:
        text = query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else default

    start, end = number("start_time", 0), number("end_time", 10**12)
    rows = [row for row in found if start <= cast("int", row["created"]) <= end]
    offset, limit = number("offset", 0), min(number("limit", MAX_PAGE), MAX_PAGE)
    return rows[offset : offset + limit]


def _domains(method: str, rest: list[str]) -> Reply:
    if method == "GET" and not rest:
        return as_json([DOMAIN])
    if method == "GET" and rest in (["1"], ["default"]):
        return as_json(DOMAIN)
    if method == "POST" and rest == ["1", "validate"]:
        dns = cast("dict[str, object]", DOMAIN["dns"])
        results = {name: {"valid": True, "reason": None} for name in dns}
        return as_json({"id": 1, "valid": True, "validation_results": results})
    raise RefusedRequest(404, "not found")
