"""/api: what tests and demos ask of the simulator."""

from typing import TYPE_CHECKING, Final

from demo.sendgrid_simulator.answers import RefusedRequest, Reply, as_json, json_object
from demo.sendgrid_simulator.faults import Faults
from demo.sendgrid_simulator.keys import SigningKey
from demo.sendgrid_simulator.settings_api import checked_url
from demo.sendgrid_simulator.store import Mail, Store
from demo.sendgrid_simulator.webhooks import Event, Webhooks, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LIMIT: Final = 10_000
EVENTS: Final = frozenset(
    {
        "processed",
        "delivered",
        "deferred",
        "bounce",
        "dropped",
        "open",
        "click",
        "spamreport",
        "unsubscribe",
        "group_unsubscribe",
        "group_resubscribe",
    }
)
# What SendGrid itself remembers of an event, and then drops mail for.
_LISTED: Final = {
    "bounce": "bounces",
    "spamreport": "spam_reports",
    "unsubscribe": "global",
}


class Programs:
    """The endpoints below /api."""

    def __init__(
        self, store: Store, faults: Faults, webhooks: Webhooks, key: SigningKey
    ) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._key = key

    def answer(
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> Reply:
        """Answer a request; raises RefusedRequest."""
        if path == "/api/faults":
            return self._change_faults(method, body)
        routes: dict[tuple[str, str], Callable[[], Reply]] = {
            ("GET", "/api/messages"): lambda: self._messages(query),
            ("DELETE", "/api/messages"): self._clear,
            ("GET", "/api/handovers"): lambda: as_json(self._store.handovers()),
            ("POST", "/api/events"): lambda: self._post_event(json_object(body)),
            ("GET", "/api/webhook"): self._webhook,
            ("PUT", "/api/webhook"): lambda: self._aim(json_object(body)),
            ("GET", "/api/public-key"): self._public_key,
        }
        route = routes.get((method, path))
        if route is None:
            raise RefusedRequest(404, f"not found: {method} {path}")
        return route()

    def make_event(self, mail: Mail, name: str, extra: Event | None = None) -> Event:
        """Make an event for a mail, remember what it suppresses, and post it."""
        event = event_of(mail, name, extra)
        self._store.note_event(mail, event)
        listed = _LISTED.get(name)
        if name == "bounce" and event.get("type") == "blocked":
            listed = "blocks"
        if listed is not None:
            self._store.suppress(listed, mail.to, reason=str(event.get("reason", "")))
        self._webhooks.add([event])
        return event

    def _clear(self) -> Reply:
        self._store.clear()
        return Reply(204)

    def _webhook(self) -> Reply:
        pending = self._webhooks.pending()
        return as_json({"url": self._webhooks.url, "pending": pending})

    def _aim(self, wanted: dict[str, object]) -> Reply:
        self._webhooks.url = checked_url(wanted.get("url"))
        return self._webhook()

    def _public_key(self) -> Reply:
        return as_json({"public_key": self._key.public()})

    def _messages(self, query: dict[str, str]) -> Reply:
        text = query.get("limit", "100")
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_LIMIT):
            raise RefusedRequest(400, f"limit must be 1 to {MAX_LIMIT}", at="limit")
        found = self._store.mails(to=query.get("to", ""), limit=int(text))
        return as_json([mail.shown() for mail in found])

    def _post_event(self, wanted: dict[str, object]) -> Reply:
        mail = self._store.get(str(wanted.pop("message", wanted.pop("id", ""))))
        if mail is None:
            raise RefusedRequest(404, "no mail has this id", at="message")
        name = wanted.pop("event", "")
        if name not in EVENTS:
            listed = ", ".join(sorted(EVENTS))
            raise RefusedRequest(400, f"event must be one of {listed}", at="event")
        return as_json(self.make_event(mail, str(name), wanted), status=201)

    def _change_faults(self, method: str, body: bytes) -> Reply:
        if method == "PUT":
            self._faults.put(_json(body))
        elif method == "DELETE":
            self._faults.put([])
        elif method != "GET":
            raise RefusedRequest(405, "method not allowed")
        return as_json(self._faults.shown())


def _json(body: bytes) -> object:
    # Faults may be a list; everything else wants an object.
    if body.lstrip()[:1] == b"[":
        return json_object(b'{"rules":' + body + b"}")
    return json_object(body)
