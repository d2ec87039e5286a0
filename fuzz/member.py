"""One process of clients: many connections, each with requests of its own."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final

from fuzz.forms import NoForm
from fuzz.heads import Kind, Request
from fuzz.requests import Maker, Target
from fuzz.wire import Closed, NoHttp, Wire

CLIENTS: Final = 32
AHEAD: Final = 6  # requests sent before the first answer is read
STALL_S: Final = 20.0
SHOWN: Final = 20
SHOWN_BYTES: Final = 3_000
CALLS: Final = (Kind.EVENTS, Kind.DJANGO, Kind.PUBLIC)
PASSED: Final = (*CALLS, Kind.WEBHOOK)
# What the clusters' own metrics server says of a method or version that it has not.
UNKNOWN_TO_HOST: Final = (501, 505)


@dataclass(slots=True)
class Tally:
    """What came of requests. `found` describes what may not be.

    Of calls that were answered with 200, `fruitful` had an event accepted, and of
    `fruitless` every event was rejected; of those without any neither is said.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    fruitful: int = 0
    fruitless: int = 0
    slowest_s: dict[str, float] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Return how many requests there were."""
        return self.statuses.total()

    @property
    def passed(self) -> int:
        """Return how many were taken: past key or signature, and the parser."""
        return sum(self.statuses[str(kind), 200] for kind in PASSED)

    def add(self, other: "Tally") -> None:
        """Add another's figures."""
        self.statuses.update(other.statuses)
        self.fruitful += other.fruitful
        self.fruitless += other.fruitless
        self.found += other.found
        for kind, took_s in other.slowest_s.items():
            self.slowest_s[kind] = max(took_s, self.slowest_s.get(kind, 0.0))

    def note(self, request: Request, status: int, took_s: float) -> None:
        """Note an answer; status 0 is none, where none is owed."""
        kind = str(request.kind)
        self.statuses[kind, status] += 1
        self.slowest_s[kind] = max(took_s, self.slowest_s.get(kind, 0.0))
        self.judge(request, status, took_s)

    def judge(self, request: Request, status: int, took_s: float) -> None:
        """Complain of an answer that may not be."""
        excused = request.kind is Kind.HOST and status in UNKNOWN_TO_HOST
        if status >= 500 and not excused:
            self.complain(f"answered {status}", request)
        elif took_s > STALL_S:
            self.complain(f"answered after {took_s:.0f} s", request)

    def weigh(self, request: Request, body: bytes) -> None:
        """Note whether a call that was answered with 200 had an event accepted."""
        rejected = json.loads(body).get("rejected_count", 0)
        self.fruitful += request.events > rejected
        self.fruitless += request.events <= rejected and rejected > 0

    def complain(self, what: str, request: Request) -> None:
        """Note what may not be, with what led to it."""
        if len(self.found) < SHOWN:
            self.found.append(f"{what}: {request.kind}: {request.data[:SHOWN_BYTES]!r}")


def work(target: Target, seed: int, chunks: range, seconds: float) -> Tally:
    """Send the requests of the chunks from many connections; return what came.

    No chunk is begun after so many seconds.
    """
    end = time.monotonic() + seconds
    todo, lock, tally = iter(chunks), threading.Lock(), Tally()

    def run() -> Tally:
        mine = Client(target)
        while True:
            with lock:
                number = next(todo, None)
            if number is None or time.monotonic() > end:
                mine.close()
                return mine.tally
            mine.send_all(mine.maker.chunk(seed, number))

    with ThreadPoolExecutor(CLIENTS) as crew:
        for done in [crew.submit(run) for _ in range(CLIENTS)]:
            tally.add(done.result())
    return tally


class Client:
    """One kept connection, and others beside it for what ends a connection."""

    def __init__(self, target: Target) -> None:
        """Aim at the target; connect when there is something to send."""
        self.maker = Maker(target)
        self.tally = Tally()
        self._port = target.port
        self._wire: Wire | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def send_all(self, requests: Iterable[Request]) -> None:
        """Send them all, some at once; note each answer."""
        for group in _grouped(requests):
            if group[0].fill is not None:
                self._filled(group[0])
            elif group[0].steady:
                self._together(group)
            else:
                self._alone(group[0])

    def _together(self, group: list[Request]) -> None:
        """Send steady requests in one go; those that got no answer one by one."""
        answered = self._try(group)
        for request in group[answered:]:
            self.close()
            if not self._try([request]):
                self.tally.note(request, 0, 0.0)
                self.tally.complain("no answer", request)

    def _try(self, group: list[Request]) -> int:
        """Return how many were answered before the connection closed."""
        wire = self._wire = self._wire or Wire(self._port)
        began = perf_counter()
        wire.send(b"".join(request.data for request in group))
        for number, request in enumerate(group):
            try:
                status, body = wire.answer(is_head=request.is_head)
            except (Closed, NoHttp) as error:
                if isinstance(error, NoHttp):
                    self.tally.complain(f"no HTTP: {error}", request)
                self.close()
                return number
            except TimeoutError:
                self.tally.complain("a stall", request)
                self.close()
                return number
            self.tally.note(request, status, perf_counter() - began)
            if status == 200 and request.kind in CALLS:
                self.tally.weigh(request, body)
        return len(group)

    def _filled(self, request: Request) -> None:
        """Send a form for its page; if there is none, the question for it counts."""
        page = self._page(request)
        if page is None or request.fill is None:
            return
        try:
            data = request.fill(page)
        except NoForm:
            self.tally.note(request, 200, 0.0)
            self.tally.complain("a page without its form", request)
            return
        self._together([replace(request, data=data, fill=None)])

    def _page(self, request: Request) -> bytes | None:
        """Return a form's page, None if the answer is no page and was noted."""
        self.close()  # a new connection has no reason to close
        wire = self._wire = Wire(self._port)
        began = perf_counter()
        wire.send(request.data)
        try:
            status, body = wire.answer()
        except (Closed, NoHttp, TimeoutError) as error:
            self.close()
            self.tally.note(request, 0, 0.0)
            self.tally.complain(f"no page: {error!r}", request)
            return None
        took_s = perf_counter() - began
        if status != 200:
            self.tally.note(request, status, took_s)
            return None
        self.tally.judge(request, status, took_s)
        return body

    def _alone(self, request: Request) -> None:
        """Send what may end its connection; an answer is not owed, an end is."""
        wire = Wire(request.port or self._port)
        began = perf_counter()
        wire.send(request.data)
        status = 0
        try:
            status = wire.ending()
        except TimeoutError:
            self.tally.complain("neither answer nor end", request)
        finally:
            with suppress(OSError):
                wire.close()
        self.tally.note(request, status, perf_counter() - began)


def _grouped(requests: Iterable[Request]) -> Iterator[list[Request]]:
    group: list[Request] = []
    for request in requests:
        if not request.steady or request.fill is not None:
            if group:
                yield group
            yield [request]
            group = []
            continue
        group.append(request)
        if len(group) == AHEAD:
            yield group
            group = []
    if group:
        yield group
