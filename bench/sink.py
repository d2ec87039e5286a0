"""A stand-in for the provider that costs little: answers each POST with 202.

`python -m bench.sink` reads a Spec as JSON from its first input line, prints the port
that it listens on, and then, for each further line, prints what it took since.

The product's simulator keeps and shows mails, which costs more than the engine; this
one keeps the tokens, and looks for some of them in the database the moment they arrive:
a hand-over without a committed `sending` would be seen.
"""

import asyncio
import json
import re
import ssl
import sys
from dataclasses import dataclass, field
from typing import Final

import psycopg

TOKEN: Final = re.compile(rb'"et_token": ?"([0-9a-f-]{36})"')
COMMITTED: Final = (
    "SELECT EXISTS (SELECT 1 FROM campaigns_attempt a JOIN campaigns_message m"
    " ON m.id = a.message_id WHERE a.id = %s AND m.state = 'sending')"
)
ANSWER: Final = (
    b"HTTP/1.1 202 Accepted\r\nX-Message-Id: bench-%d\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`delay_ms` before each answer; every `looked_at`-th token is looked for.

    `database` is a connection string, "" to look for none; with `certificate` (a file
    with certificate and key) TLS is spoken.
    """

    delay_ms: float = 0.0
    database: str = ""
    looked_at: int = 20
    certificate: str = ""


@dataclass(slots=True)
class Taken:
    """What arrived: how many mails, their tokens, those not committed before."""

    count: int = 0
    tokens: list[str] = field(default_factory=list)
    too_early: list[str] = field(default_factory=list)


class Sink:
    """What all connections share."""

    def __init__(self, spec: Spec) -> None:
        """Connect to the database if tokens are to be looked for."""
        self.delay_s = spec.delay_ms / 1e3
        self.taken = Taken()
        self._numbered = 0
        self._looked_at = spec.looked_at
        self._database = (
            psycopg.connect(spec.database, autocommit=True) if spec.database else None
        )

    def take(self, body: bytes) -> bytes:
        """Note a mail; return the answer to it."""
        self._numbered += 1
        self.taken.count += 1
        found = TOKEN.search(body)
        if found:
            token = found[1].decode()
            self.taken.tokens.append(token)
            if self._database and self._numbered % self._looked_at == 0:
                self._look(self._database, token)
        return ANSWER % self._numbered

    def _look(
        self, database: "psycopg.Connection[tuple[object, ...]]", token: str
    ) -> None:
        ((committed,),) = database.execute(COMMITTED, [token]).fetchall()
        if not committed:
            self.taken.too_early.append(token)

    def told(self) -> Taken:
        """Return what was taken since the last time."""
        taken, self.taken = self.taken, Taken()
        return taken


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.Transport | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a server
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request once it is whole."""
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = _length(head)
        if len(body) < length:
            return
        self._read = body[length:]
        answer = self._sink.take(body[:length])
        if self._sink.delay_s:
            asyncio.get_running_loop().call_later(
                self._sink.delay_s, self._write, answer
            )
        else:
            self._write(answer)
        if b"connection: close" in head.lower() and self._transport:
            self._transport.close()

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(spec: Spec) -> None:
    """Serve until the input ends."""
    sink = Sink(spec)
    context = None
    if spec.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(spec.certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Line(sink), "127.0.0.1", 0, ssl=context, backlog=512
    )
    _print(server.sockets[0].getsockname()[1])
    while await loop.run_in_executor(None, sys.stdin.readline):
        taken = sink.told()
        _print(
            {
                "count": taken.count,
                "tokens": taken.tokens,
                "too_early": taken.too_early,
            }
        )


def _print(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Spec(**json.loads(sys.stdin.readline()))))
