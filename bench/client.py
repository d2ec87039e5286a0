"""A load client of its own: many kept-alive connections, one request on each at a time.

`python -m bench.client` reads a Spec as JSON from its first input line, connects, says
"ready", waits for another line, posts until the time is over, and prints a Told.
Plain sockets and one selector, because a client library would cost more than the
server. It starts without Django.
"""

import base64
import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Final

ANSWER_S: Final = 60.0
BODY: Final = (
    '{"type":"track","messageId":"%(id)s","userId":"u%(user)d","event":"%(event)s",'
    '"properties":{"cart_id":"%(id)s","price":12.5,"sku":"A-1","title":"A fine thing",'
    '"url":"https://shop.example/p/1"},'
    '"context":{"page":{"url":"https://shop.example/"},"ip":"192.0.2.4"}}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to post. `events` a request: 1 goes to /v1/track, more to /v1/batch.

    A `share` of them is named `enters`, the others `passes`. Users are u1 to
    u<people>, picked at random; `name` begins every message id.
    """

    port: int
    key: str
    name: str
    connections: int
    seconds: float
    people: int
    enters: str
    passes: str
    events: int = 1
    share: float = 0.3
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Told:
    """What was acknowledged (2xx), what was not, and how long answers took."""

    requests: int = 0
    events: int = 0
    entering: int = 0
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


class Writer:
    """Makes requests."""

    def __init__(self, spec: Spec) -> None:
        """Take what to post."""
        self._spec = spec
        self._random = Random(spec.seed)
        self._made = 0
        login = base64.b64encode(f"{spec.key}:".encode()).decode()
        path = "/v1/track" if spec.events == 1 else "/v1/batch"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}"
            "\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()

    def request(self) -> tuple[bytes, int]:
        """Return the next request, and how many of its events start journeys."""
        before = self._made
        parts, entering = [], 0
        for _ in range(self._spec.events):
            enters = self._random.random() < self._spec.share
            entering += enters
            parts.append(self._event(enters=enters))
        body = parts[0] if self._spec.events == 1 else _batch(parts)
        assert self._made == before + self._spec.events  # noqa: S101 - counted above
        return self._head + b"%d\r\n\r\n" % len(body) + body, entering

    def _event(self, *, enters: bool) -> bytes:
        self._made += 1
        spec = self._spec
        values = {
            "id": f"{spec.name}-{self._made}",
            "user": self._random.randint(1, spec.people),
            "event": spec.enters if enters else spec.passes,
        }
        return (BODY % values).encode()


def _batch(parts: list[bytes]) -> bytes:
    return b'{"batch":[' + b",".join(parts) + b"]}"


class Line:
    """One connection with its request under way."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.entering = 0
        self._answer = b""

    def ask(self, request: bytes, entering: int) -> None:
        """Send a request of which so many events start journeys."""
        self.entering = entering
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """Return the whole answer, None while it is on its way. Raises OSError."""
        part = self.socket.recv(65_536)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._answer += part
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        whole, self._answer = self._answer, b""
        return whole


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def post(spec: Spec, lines: list[Line]) -> Told:
    """Post until the time is over, and then wait for all answers."""
    told, writer = Told(), Writer(spec)
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    cpu = time.process_time()
    end = began + spec.seconds
    for line in lines:
        selector.register(line.socket, selectors.EVENT_READ, line)
        line.ask(*writer.request())
    while selector.get_map():
        ready = selector.select(ANSWER_S)
        if not ready:
            told.refused.append(f"no answer within {ANSWER_S:.0f} s")
            break
        for key, _ in ready:
            line = key.data
            if _finished(line, told, spec.events):
                if time.perf_counter() < end:
                    line.ask(*writer.request())
                else:
                    selector.unregister(line.socket)
    told.seconds = time.perf_counter() - began
    told.cpu_s = time.process_time() - cpu
    return told


def _finished(line: Line, told: Told, events: int) -> bool:
    answer = line.answer()
    if answer is None:
        return False
    told.latencies_ms.append(round((time.perf_counter() - line.sent_at) * 1e3, 3))
    told.requests += 1
    # A 200 that lists refused events took fewer of them.
    if answer.startswith(b"HTTP/1.1 2") and b"reject" not in answer.lower():
        told.events += events
        told.entering += line.entering
    else:
        told.refused.append(answer[:300].decode("latin-1"))
    return True


def main() -> None:
    """Do as the first input line says."""
    spec = Spec(**json.loads(sys.stdin.readline()))
    lines = [Line(spec.port) for _ in range(spec.connections)]
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    sys.stdin.readline()
    told = post(spec, lines)
    sys.stdout.write(json.dumps(asdict(told)) + "\n")


if __name__ == "__main__":
    main()
