"""Clients that post events at a steady rate and keep a ledger of what was acknowledged.

They do as SDKs do: several events a request, and an answer of 5xx, or none at all,
means the same events again, with the same messageIds, until they are acknowledged.
"""

import base64
import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

PATIENCE_S: Final = 90.0
TIMEOUT_S: Final = 15.0
PAUSE_S: Final = 0.3
CLIENTS: Final = 16
BATCH: Final = 10  # events a request, as SDKs gather them
SIGNED_UP_EVERY: Final = 4  # a mail for each of these: 200 events/s are 50 mails/s
VIEWED_EVERY: Final = 20  # a journey that waits for an hour
AGAIN_S: Final = 5.0  # longer than a sample's shortest cooldown, at a demo's speed

Event = Callable[[int, datetime], dict[str, object]]


@dataclass
class Ledger:
    """What the clients know. Times are aware, by this machine's clock."""

    acknowledged: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    retries: int = 0
    signed_up: dict[str, datetime] = field(default_factory=dict)  # address: first try
    # By batch: when it was first posted, and when it was first acknowledged.
    posted_at: dict[int, datetime] = field(default_factory=dict)
    acknowledged_at: dict[int, datetime] = field(default_factory=dict)
    repeated: int = 0  # batches posted once more though they were acknowledged
    took_s: float = 0.0  # from the first post to the last answer

    def joined(self, other: "Ledger") -> "Ledger":
        """Return both as one."""
        return Ledger(
            acknowledged=self.acknowledged | other.acknowledged,
            given_up=self.given_up | other.given_up,
            refused=self.refused + other.refused,
            retries=self.retries + other.retries,
            signed_up=self.signed_up | other.signed_up,
            posted_at=self.posted_at | other.posted_at,
            acknowledged_at=self.acknowledged_at | other.acknowledged_at,
            repeated=self.repeated + other.repeated,
            took_s=self.took_s + other.took_s,
        )


class Load:
    """`CLIENTS` threads that post `rate` events a second, `total` of them."""

    def __init__(
        self,
        *,
        port: int,
        key: str,
        name: str,
        total: int,
        rate: float = 200.0,
        event: Event | None = None,
        again_every: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        """Aim at the product's port; `name` begins every messageId.

        `event` makes the events, given number and time. Of `again_every` batches
        one is posted once more, `AGAIN_S` seconds after it was acknowledged.
        """
        self.ledger = Ledger()
        self._event = event or self._own_event
        self._again_every = again_every
        self._name = name
        self._host, self._port = host, port
        self._rate = rate
        login = base64.b64encode(f"{key}:".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/json",
        }
        self._batches = iter(range(total // BATCH))
        self._lock = threading.Lock()
        self._began = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"client {n}", daemon=True)
            for n in range(CLIENTS)
        ]

    def start(self) -> "Load":
        """Begin to post."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def enough(self) -> Ledger:
        """Begin no further batch, and wait for those under way; return the ledger."""
        with self._lock:
            self._batches = iter(())
        return self.finish()

    def finish(self) -> Ledger:
        """Wait until all events are through; return the ledger."""
        for thread in self._threads:
            thread.join(PATIENCE_S + TIMEOUT_S)
            assert not thread.is_alive(), f"{thread.name} hangs"
        self.ledger.took_s = time.monotonic() - self._began
        return self.ledger

    def _email(self, number: int) -> str:
        return f"{self._name}-{number}@example.com"

    def _message_id(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while (number := self._next()) is not None:
            due = self._began + number * BATCH / self._rate
            time.sleep(max(0.0, due - time.monotonic()))
            connection = self._post(number, connection)
            if self._again_every and number % self._again_every == 0:
                time.sleep(AGAIN_S)
                connection = self._post(number, connection)
        if connection is not None:
            connection.close()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._batches, None)

    def _own_event(self, number: int, _at: datetime) -> dict[str, object]:
        step = number % VIEWED_EVERY
        person = number - number % SIGNED_UP_EVERY
        event: dict[str, object] = {
            "type": "track",
            "messageId": self._message_id(number),
            "userId": f"{self._name}-user-{person}",
            "event": "Button Clicked",
            "properties": {"number": number},
        }
        if step % SIGNED_UP_EVERY == 0:
            traits = {"email": self._email(number), "first_name": "Ada"}
            event |= {"event": "Signed Up", "context": {"traits": traits}}
        elif step == 1:
            event |= {"event": "Product Viewed", "properties": {"name": "Lamp"}}
        return event

    def _post(
        self, number: int, connection: http.client.HTTPConnection | None
    ) -> http.client.HTTPConnection | None:
        """Post a batch until it is acknowledged; return the connection to go on with."""
        numbers = range(number * BATCH, (number + 1) * BATCH)
        message_ids = {self._message_id(n) for n in numbers}
        with self._lock:
            at = self.ledger.posted_at.setdefault(number, utc_now())
        body = json.dumps({"batch": [self._event(n, at) for n in numbers]})
        tried = {self._email(n): utc_now() for n in numbers if n % SIGNED_UP_EVERY == 0}
        with self._lock:
            self.ledger.signed_up |= tried
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, answer, connection = self._try(body, connection)
            if status == 200 and json.loads(answer) == {"success": True}:
                with self._lock:
                    self.ledger.repeated += number in self.ledger.acknowledged_at
                    self.ledger.acknowledged_at.setdefault(number, utc_now())
                    self.ledger.acknowledged |= message_ids
                return connection
            if 200 <= status < 500:
                with self._lock:
                    self.ledger.refused.append(f"batch {number}: {status} {answer!r}")
                return connection
            with self._lock:
                self.ledger.retries += 1
            time.sleep(PAUSE_S)
        with self._lock:
            self.ledger.given_up |= message_ids
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)

    def _try(
        self, body: str, connection: http.client.HTTPConnection | None
    ) -> tuple[int, bytes, http.client.HTTPConnection | None]:
        """Return status (0 without an answer), body, and the connection if it is good."""
        to = connection or self._connect()
        try:
            to.request("POST", "/v1/batch", body, self._headers)
            answer = to.getresponse()
            return answer.status, answer.read(), to
        except (OSError, http.client.HTTPException):
            to.close()
            return 0, b"", None


def utc_now() -> datetime:
    """Return the time, as the simulator on the same machine tells it."""
    return datetime.now(tz=UTC)  # noqa: TID251 - the clock of a client
