"""A client that sends bytes as they are, several requests ahead, and times answers."""

import re
import socket
from contextlib import suppress
from time import perf_counter
from typing import Final

PATIENCE_S: Final = 60.0
READ_BYTES: Final = 64 * 2**10
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_BODILESS: Final = (204, 304)


class Closed(Exception):
    """The server closed the connection before it answered."""


class NoHttp(Exception):
    """What came is no answer in HTTP."""


class Wire:
    """One kept connection; `head` is that of the last answer."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._to = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = self.head = b""

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._to.close()

    def send(self, data: bytes) -> None:
        """Send; a server that closes meanwhile shows in `answer`."""
        with suppress(ConnectionError):
            self._to.sendall(data)

    def answer(self, *, is_head: bool = False) -> tuple[int, bytes]:
        """Return status and body. Raises Closed, NoHttp, and TimeoutError of a stall."""
        head = self.head = self._until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            raise NoHttp(repr(head[:80]))
        status = int(head[9:12])
        if status == 100:
            return self.answer(is_head=is_head)
        if is_head or status in _BODILESS:
            return status, b""
        if found := _LENGTH.search(head):
            return status, self._exactly(int(found[1]))
        if b"chunked" in head.lower():
            return status, self._chunks()
        return status, self._all()

    def ending(self) -> int:
        """Send no more; return the status of what comes, 0 if nothing does."""
        with suppress(OSError):
            self._to.shutdown(socket.SHUT_WR)
        with suppress(Closed, NoHttp, ConnectionError):
            return self.answer()[0]
        return 0

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._exactly(size + 2)[:-2])
        self._until(b"\r\n")
        return b"".join(parts)

    def _all(self) -> bytes:
        with suppress(Closed):
            while True:
                self._more()
        body, self._rest = self._rest, b""
        return body

    def _until(self, end: bytes) -> bytes:
        while (at := self._rest.find(end)) < 0:
            self._more()
        at += len(end)
        found, self._rest = self._rest[:at], self._rest[at:]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _more(self) -> None:
        try:
            part = self._to.recv(READ_BYTES)
        except ConnectionError:
            part = b""
        if not part:
            raise Closed
        self._rest += part


def timed(since: float) -> float:
    """Return the seconds since then, by the steady clock of this process."""
    return perf_counter() - since
