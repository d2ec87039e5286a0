"""Signed event webhooks, posted by a thread of their own and tried again."""

import heapq
import http.client
import itertools
import json
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from demo.sendgrid_simulator.faults import Faults
from demo.sendgrid_simulator.journal import Journal, Kept
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


@dataclass(order=True, slots=True)
class _Due:
    """Events to post together. `due` and `since`, the first try, are monotonic."""

    due: float
    order: int
    since: float
    events: list[Kept]


class Webhooks:
    """Posts events to `url`, oldest first; what is refused comes again later.

    With a `folder`, what was not taken yet is posted after the next start. A crash
    between an answer and its note posts twice, with the same ids, as SendGrid may.
    """

    def __init__(
        self,
        key: SigningKey,
        faults: Faults,
        *,
        url: str = "",
        folder: Path | None = None,
    ) -> None:
        self.url = url
        self.enabled = True
        self.flags: dict[str, bool] = {}  # SendGrid's switches by kind of event
        self._key = key
        self._faults = faults
        self._order = itertools.count()
        self._due: list[_Due] = []
        self._wake = threading.Condition()
        self._busy = False
        self._stopping = False
        self._journal = Journal(folder / "webhooks.jsonl" if folder else None)
        self._push(self._journal.waiting(), after_s=0)
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
        self._journal.close()

    def add(self, events: Sequence[Event]) -> None:
        """Take events to post soon."""
        wanted = [e for e in events if self.flags.get(_flag(str(e["event"])), True)]
        if not wanted or self._faults.strike("webhook_off"):
            return
        if self._faults.strike("webhook_duplicate"):
            wanted = [e for e in wanted for _ in range(2)]
        kept = self._journal.add(wanted, at=now().timestamp())
        self._push(kept, after_s=GATHER_S)

    def _push(self, kept: Sequence[Kept], *, after_s: float) -> None:
        since = time.monotonic()
        with self._wake:
            for each in kept:
                due = _Due(since + after_s, next(self._order), since, [each])
                heapq.heappush(self._due, due)
            self._wake.notify_all()

    def pending(self) -> int:
        """Return how many POSTs wait or are under way."""
        with self._wake:
            return len(self._due) + self._busy

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            if self.enabled and self.url and not self._post(batch.events):
                self._again(batch)
            else:
                self._journal.done(batch.events)
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _next(self) -> _Due | None:
        """Wait for what is due and return it as one batch; None ends."""
        with self._wake:
            while not self._stopping:
                moment = time.monotonic()
                if not self._due or self._due[0].due > moment:
                    wait = self._due[0].due - moment if self._due else None
                    self._wake.wait(wait)
                    continue
                batch = heapq.heappop(self._due)
                while (
                    self._due
                    and self._due[0].due <= moment
                    and len(batch.events) < MAX_BATCH
                ):
                    batch.events += heapq.heappop(self._due).events
                self._busy = True
                return batch
        return None

    def _again(self, batch: _Due) -> None:
        oldest = now().timestamp() - GIVE_UP_S
        old = [kept for kept in batch.events if kept.at < oldest]
        if old:
            logger.warning("gave up %d events after a day", len(old))
            self._journal.done(old)
            batch.events = [kept for kept in batch.events if kept.at >= oldest]
        if not batch.events:
            return
        moment = time.monotonic()
        waited = moment - batch.since
        batch.due = moment + min(max(FIRST_RETRY_S, waited), LAST_RETRY_S)
        batch.order = next(self._order)
        with self._wake:
            heapq.heappush(self._due, batch)

    def _post(self, events: list[Kept]) -> bool:
        if self._faults.strike("webhook_shuffle"):
            self._faults.shuffle(events)
        timestamp = str(int(now().timestamp()))
        body = body_of([kept.event for kept in events])
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
