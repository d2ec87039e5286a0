"""Clients that crowd others out, or try to: what a shop beside them gets."""

import base64
import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import asdict, dataclass
from statistics import quantiles
from time import perf_counter
from typing import Final

from fuzz.requests import Target
from fuzz.site import Site
from fuzz.wire import Closed, Wire

PAUSE_S: Final = 0.02
SLOW: Final = 200
SLOW_EVERY_S: Final = 0.5
FLOODERS: Final = 16
AHEAD: Final = 4
KEPT: Final = 50  # rounds on one connection
LEAST: Final = 1_500  # more than a public key's minute
OTHER_FILES: Final = 500
MOST_LINES: Final = 60  # in the log, whatever a flood asks for within some seconds
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SLOW_HEAD: Final = b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


# How many answers a crowd got so far (LEAST of those that ask for none), in words.
Crowd = Callable[[], tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One crowd, and the answers to a shop's events and to /healthz beside it.

    Times are milliseconds. `lost` are events without an answer of 200.
    """

    name: str
    events: int
    lost: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    health_p99_ms: float
    crowd: str  # what the crowd got
    log_lines: int
    web_mb: float

    def as_json(self) -> dict[str, object]:
        """Return the figures."""
        return asdict(self)


def crowds(
    site: Site,
    target: Target,
    *,
    idle: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[Stage]:
    """Let each crowd come for that long; return what a shop beside it got."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    idle = min(idle, most - OTHER_FILES)
    key, public = _login(target.key), _login(target.public_key)
    stages = []
    for name, crowd in (
        ("nobody", _nobody()),
        (f"{idle:,} connections that say nothing", _idle(target.port, idle)),
        (f"{SLOW} clients that send a byte each half second", _slow(target.port)),
        ("one secret key at full speed", _flood(target.port, key, "secret")),
        ("a public key over its rate", _flood(target.port, public, "public")),
        ("no valid key", _flood(target.port, _login("no-such-key"), "none")),
    ):
        stages.append(_stage(site, target, name, crowd, seconds))
        tell(f"  {stages[-1]}")
    return stages


def trouble_in(stages: Sequence[Stage]) -> list[str]:
    """Return what no crowd may bring about: lost events, a log that fills."""
    return [
        f"beside {stage.name}: {stage.lost} events lost, {stage.log_lines} log lines"
        for stage in stages
        if stage.lost or stage.log_lines > MOST_LINES
    ]


def _stage(
    site: Site,
    target: Target,
    name: str,
    crowd: AbstractContextManager[Crowd],
    seconds: float,
) -> Stage:
    before = _lines(site)
    with crowd as got:
        events, health, lost = _probe(target, name, seconds, got)
        _, told = got()
        mb = site.held().mb
    return Stage(
        name=name,
        events=len(events) + lost,
        lost=lost,
        p50_ms=_percentile(events, 50),
        p99_ms=_percentile(events, 99),
        slowest_ms=_percentile(events, 100),
        health_p99_ms=_percentile(health, 99),
        crowd=told,
        log_lines=_lines(site) - before,
        web_mb=mb,
    )


def _probe(
    target: Target, name: str, seconds: float, crowd: Crowd
) -> tuple[list[float], list[float], int]:
    """Return the seconds that events and health took, and how many events were lost.

    Goes on until the crowd got LEAST answers.
    """
    events: list[float] = []
    health: list[float] = []
    lost = 0
    end = time.monotonic() + seconds
    with closing(Wire(target.port)) as wire:
        while time.monotonic() < end or not events or crowd()[0] < LEAST:
            number = len(events) + lost
            began = perf_counter()
            wire.send(_event(_login(target.key), f"probe-{name[:9]}-{number}"))
            status, _ = wire.answer()
            if status == 200:
                events.append(perf_counter() - began)
            else:
                lost += 1
            began = perf_counter()
            with closing(Wire(target.port)) as fresh:
                fresh.send(HEALTH)
                if fresh.answer()[0] == 200:
                    health.append(perf_counter() - began)
            time.sleep(PAUSE_S)
    return events, health, lost


def _lines(site: Site) -> int:
    return site.log.read_bytes().count(b"\n")


def _percentile(seconds: Sequence[float], percent: int) -> float:
    if percent == 100 or len(seconds) < 2:
        return round(max(seconds, default=0.0) * 1000, 1)
    return round(quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000, 1)


def _login(key: str) -> str:
    return base64.b64encode(f"{key}:".encode()).decode()


def _event(login: str, who: str) -> bytes:
    body = json.dumps({"userId": who, "event": "Button Clicked"})
    return (
        "POST /v1/track HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Basic {login}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


# --- crowds -----------------------------------------------------------------------


@contextmanager
def _nobody() -> Iterator[Crowd]:
    yield lambda: (LEAST, "-")


@contextmanager
def _idle(port: int, number: int) -> Iterator[Crowd]:
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            for _ in range(number)
        ]
        yield lambda: (LEAST, f"{_open(held):,} still open")


def _open(held: Sequence[socket.socket]) -> int:
    """Return how many the server has not closed."""
    count = 0
    for one in held:
        one.settimeout(0)
        try:
            count += bool(one.recv(1))
        except BlockingIOError:
            count += 1
        except OSError:
            continue
    return count


@contextmanager
def _slow(port: int) -> Iterator[Crowd]:
    stop = threading.Event()
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            for _ in range(SLOW)
        ]
        for one in held:
            one.sendall(SLOW_HEAD)

        def trickle() -> None:
            while not stop.wait(SLOW_EVERY_S):
                for one in held:
                    with suppress(OSError):
                        one.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield lambda: (LEAST, f"{_open(held)} still open")
        finally:
            stop.set()
            thread.join()


@contextmanager
def _flood(port: int, login: str, name: str) -> Iterator[Crowd]:
    stop, lock = threading.Event(), threading.Lock()
    statuses: Counter[int] = Counter()
    began = time.monotonic()

    def flood(who: int) -> None:
        data = _event(login, f"flood-{name}-{who}") * AHEAD
        while not stop.is_set():
            with suppress(Closed), closing(Wire(port)) as wire:
                for _ in range(KEPT):
                    wire.send(data)
                    mine = [wire.answer()[0] for _ in range(AHEAD)]
                    with lock:
                        statuses.update(mine)
                    if stop.is_set():
                        break

    def got() -> tuple[int, str]:
        with lock:
            said = ", ".join(f"{s}: {n:,}" for s, n in sorted(statuses.items()))
            number = statuses.total()
        return number, f"{said} ({number / (time.monotonic() - began):,.0f}/s)"

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield got
    finally:
        stop.set()
        for thread in threads:
            thread.join()
