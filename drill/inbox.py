"""The simulator's own log, read as it grows, and the customers who unsubscribe."""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final
from urllib.error import URLError
from urllib.parse import urlsplit

from drill.story import Kind, kind_of
from tests.e2e.load import utc_now

READ_S: Final = 0.2
AGAIN_S: Final = 0.5
TIMEOUT_S: Final = 15.0
_LINK: Final = re.compile(r"<(http[^<>\s]+)>")


@dataclass(frozen=True, slots=True)
class Handover:
    """One mail that the simulator took; the message and the attempt are its own words."""

    address: str
    kind: Kind
    message: str
    attempt: str
    at: datetime
    unsubscribe: str


class Log:
    """The simulator's file of what it accepted, in the order in which it did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._rest = b""

    def read(self) -> list[Handover]:
        """Return what was accepted since the last call."""
        if self._file is None:
            if not self._path.exists():
                return []
            self._file = self._path.open("rb")
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [_handover(line) for line in lines if line.startswith(b'{"mail"')]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _handover(line: bytes) -> Handover:
    mail = json.loads(line)["mail"]
    links = _LINK.findall(mail["headers"].get("List-Unsubscribe", ""))
    return Handover(
        address=mail["to"],
        kind=kind_of(mail["subject"]),
        message=mail["custom_args"]["et_message"],
        attempt=mail["custom_args"]["et_token"],
        at=datetime.fromisoformat(mail["received_at"]),
        unsubscribe=links[0] if links else "",
    )


class Reader:
    """A thread that keeps what the simulator accepted, and presses the links.

    `leaves` says of an address whether its customer unsubscribes once welcomed;
    `left` is when the product had confirmed that.
    """

    def __init__(self, path: Path, *, port: int, leaves: Callable[[str], bool]) -> None:
        self.handovers: list[Handover] = []
        self.left: dict[str, datetime] = {}
        self._log = Log(path)
        self._port = port
        self._leaves = leaves
        self._waiting: dict[str, str] = {}  # address: link
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)

    def start(self) -> "Reader":
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read the rest, and end."""
        self._ended.set()
        self._thread.join()
        self._take()
        self._log.close()

    def _run(self) -> None:
        again_at = 0.0
        while not self._ended.wait(READ_S):
            self._take()
            if time.monotonic() >= again_at and not self._press():
                again_at = time.monotonic() + AGAIN_S

    def _take(self) -> None:
        for each in self._log.read():
            self.handovers.append(each)
            known = each.address in self.left or each.address in self._waiting
            if each.kind is Kind.WELCOME and not known and self._leaves(each.address):
                self._waiting[each.address] = each.unsubscribe

    def _press(self) -> bool:
        """Press the links that wait; False once one is not answered 200."""
        for address, link in list(self._waiting.items()):
            path = urlsplit(link).path
            request = urllib.request.Request(
                f"http://127.0.0.1:{self._port}{path}",
                data=b"List-Unsubscribe=One-Click",
                method="POST",
            )
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                    done = answer.status == 200
            except (URLError, OSError):
                return False
            if not done:
                return False
            self.left[address] = utc_now()
            del self._waiting[address]
        return True
