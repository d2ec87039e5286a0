"""Signed event webhooks, posted by a thread of their own and tried again."""

import heapq
import http.client
import itertools
import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from demo.sendgrid_simulator.faults import Faults
from demo.sendgrid_simulator.keys import SigningKey
from demo.sendgrid_simulator.store import Mail, now

MAX_BATCH: Final = 100
GATHER_S: Final = 0.05
POST_TIMEOUT_S: Final = 10.0
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 30.0
GIVE_UP_S: Final = 24 * 3_600.0  # as SendGrid does
logger = logging.getLogger(__name__)

Event = dict[str, object]


def event_of(mail: Mail, name: str, extra: Event | None = None) -> Event:
    """Return an event about `mail` as SendGrid words it; `extra` wins."""
    made: Event = {
        "email": mail.to,
        "timestamp": int(now().timestamp()),
        "smtp-id": f"<{mail.id}@simulator.invalid>",
        "event": name,
        "category": mail.categories,
        "sg_event_id": secrets.token_urlsafe(24),
        "sg_message_id": f"{mail.id}.recvd-simulator-1-0.0",
        **mail.custom_args,
    }
    if name == "bounce":
        made |= {
            "type": "bounce",
            "status": "5.1.1",
            "reason": "550 5.1.1 The email account that you tried to reach does not exist",
            "bounce_classification": "Invalid Address",
        }
    if name == "delivered":
        made["response"] = "250 OK"
    if name in {"open", "click"}:
        made |= {"useragent": "Simulator's inbox", "ip": "127.0.0.1"}
    if name == "open":
        made["sg_machine_open"] = False
    return made | (extra or {})


def body_of(events: Sequence[Event]) -> bytes:
    """Return the bytes to sign and post: CRLF between the events and at the end."""
    return ("[" + "\r\n,".join(json.dumps(e) for e in events) + "]\r\n").encode("ascii")


class Webhooks:
    """Posts events to `url`, oldest first; what is refused comes again later."""

    def __init__(self, key: SigningKey, faults: Faults, *, url: str = "") -> None:
        self.url = url
        self.enabled = True
        self.flags: dict[str, bool] = {}  # SendGrid's switches by kind of event
        self._key = key
        self._faults = faults
        self._order = itertools.count()
        self._due: list[tuple[float, int, float, list[Event]]] = []
        self._wake = threading.Condition()
        self._busy = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to post."""
        self._thread.start()

    def stop(self) -> None:
        """End after the POST that is under way."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(POST_TIMEOUT_S + 1)

    def add(self, events: Sequence[Event]) -> None:
        """Take events to post soon."""
        wanted = [e for e in events if self.flags.get(_flag(str(e["event"])), True)]
        if not wanted or self._faults.strike("webhook_off"):
            return
        if self._faults.strike("webhook_duplicate"):
            wanted = [e for e in wanted for _ in range(2)]
        began = time.monotonic()
        with self._wake:
            for event in wanted:
                heapq.heappush(
                    self._due, (began + GATHER_S, next(self._order), began, [event])
                )
            self._wake.notify_all()

    def pending(self) -> int:
        """Return how many POSTs wait or are under way."""
        with self._wake:
            return len(self._due) + self._busy

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            began, events = batch
            if self.enabled and self.url and not self._post(events):
                self._again(began, events)
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _next(self) -> tuple[float, list[Event]] | None:
        """Wait for what is due and return it with the time it began; None ends."""
        with self._wake:
            while not self._stopping:
                moment = time.monotonic()
                if not self._due or self._due[0][0] > moment:
                    wait = self._due[0][0] - moment if self._due else None
                    self._wake.wait(wait)
                    continue
                began = self._due[0][2]
                events: list[Event] = []
                while (
                    self._due and self._due[0][0] <= moment and len(events) < MAX_BATCH
                ):
                    events += heapq.heappop(self._due)[3]
                self._busy = True
                return began, events
        return None

    def _again(self, began: float, events: list[Event]) -> None:
        age = time.monotonic() - began
        if age > GIVE_UP_S:
            logger.warning("gave up %d events after a day", len(events))
            return
        due = time.monotonic() + min(max(FIRST_RETRY_S, age), LAST_RETRY_S)
        with self._wake:
            heapq.heappush(self._due, (due, next(self._order), began, events))

    def _post(self, events: list[Event]) -> bool:
        if self._faults.strike("webhook_shuffle"):
            random.shuffle(events)
        timestamp = str(int(now().timestamp()))
        body = body_of(events)
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": self._key.sign(
                body, timestamp=timestamp
            ),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        try:
            status = post(self.url, body=body, headers=headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            logger.info("webhook %s: %s", self.url, error)
            return False
        return status // 100 == 2


def post(url: str, *, body: bytes, headers: dict[str, str]) -> int:
    """POST without following redirects; returns the status. Raises OSError and such."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"not an http(s) URL: {url!r}")
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=POST_TIMEOUT_S)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _flag(event: str) -> str:
    return "spam_report" if event == "spamreport" else event
