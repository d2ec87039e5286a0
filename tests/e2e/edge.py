"""An application that tells what it was asked, served with and without the door."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from emailtriggers.door import Answer, Door, Later, Ways
from emailtriggers.threads import Pool
from tests.e2e.product import free_port, wait_for

ROOT = Path(__file__).parents[2]
LIMIT = 100_000
HELD = 250_000
BODY_S = 1.0
HEADER_S = 2
THREADS, WAITING = 2, 2
TOLD = ("HTTP_", "CONTENT_", "SERVER_", "REMOTE_", "REQUEST_", "PATH_", "QUERY_")
PART = b"x" * 50_000
PARTS = 40
JSON = [("Content-Type", "application/json")]
IN_LOOP = ("/release", "/closed", "/loop", "/later", "/later-fails", "/declined")

_elsewhere = ThreadPoolExecutor(2)
_released = threading.Event()
_closed = threading.Event()


class _Parts:
    """A streaming answer that notes that it was closed."""

    streaming = True

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        for _ in range(self.count):
            yield PART

    def close(self):
        _closed.set()


def application(environ, start_response):
    """Answer by WSGI, in a thread."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _Parts(PARTS)
    if path == "/fails":
        raise RuntimeError("on purpose")
    if path == "/block":
        assert _released.wait(30)
    if path == "/nothing":
        start_response("204 No Content", [("X-One", "1"), ("X-One", "2")])
        return []
    start_response("200 OK", [*JSON, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [json.dumps(told(environ)).encode()]


def told(environ):
    """Return what of the request is worth comparing."""
    seen = {k: environ[k] for k in sorted(environ) if k.startswith(TOLD)}
    seen["scheme"] = environ["wsgi.url_scheme"]
    length = environ.get("CONTENT_LENGTH")
    body = environ["wsgi.input"].read(int(length) if length else LIMIT + 1)
    return {**seen, "body": len(body), "start": body[:20].decode("latin-1")}


def in_loop(request):
    """Answer in the loop: let those who block go on, or tell what was asked."""
    if request.environ["PATH_INFO"] == "/release":
        _released.set()
    if request.environ["PATH_INFO"] == "/declined":
        return None
    if request.environ["PATH_INFO"] in ("/later", "/later-fails"):
        return later(request.environ["PATH_INFO"])
    if request.environ["PATH_INFO"] == "/closed":
        return Answer(200, JSON, json.dumps(_closed.is_set()).encode())
    seen = told({**request.environ, "wsgi.input": io.BytesIO(request.body)})
    return Answer(200, JSON, json.dumps(seen).encode())


def later(path):
    """Answer from a thread of its own, or fail to."""
    thread = _elsewhere.submit(threading.get_ident)

    def answer():
        if path == "/later-fails":
            raise RuntimeError("on purpose")
        same = threading.get_ident() == thread.result()
        return Answer(200, JSON, json.dumps(same).encode())

    return Later(thread, answer)


door = Door(
    application,
    Ways(
        body_limit=lambda path: 0 if path == "/unread" else LIMIT,
        handler=lambda _method, path: in_loop if path in IN_LOOP else None,
        refuse=lambda why, _environ: Answer(
            {"busy": 503, "slow": 408}[why.value], JSON, b"{}"
        ),
    ),
    pool=Pool(THREADS, waiting=WAITING),
    body_s=BODY_S,
    held_bytes=HELD,
)


class Server:
    """One granian with one worker."""

    def __init__(self, port, process):
        self.port = port
        self.process = process

    def connect(self, *, timeout=20):
        """Return a new connection; the caller closes it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, raw, *, end=False):
        """Send bytes as they are, `end` our side; return all that is answered."""
        with closing(self.connect()) as to:
            to.sendall(raw)
            if end:
                to.shutdown(socket.SHUT_WR)
            return drain(to)

    def answers(self):
        """Return whether it accepts connections."""
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def stop(self):
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def drain(connection):
    """Return what comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # it was answered before it had sent all
    return b"".join(parts)


def answer(raw):
    """Return (status, header lines, body) of the last answer in these bytes."""
    while raw.startswith(b"HTTP/1.1 100"):
        raw = raw.partition(b"\r\n\r\n")[2]
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), lines, body


@contextmanager
def serving(interface, target, log: Path) -> Generator[Server, None, None]:
    """Run granian by that interface until the end of the block."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", interface, "--no-ws"),
        *("--http", "1", "--http1-header-read-timeout", str(HEADER_S * 1000)),
        *("--port", str(port), "--workers-kill-timeout", "10"),
        *("--backpressure", "12000", "--log-level", "error", target),
    ]
    if interface == "wsgi":
        command[-1:-1] = ["--blocking-threads", "2"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=out, stderr=out
        )
    server = Server(port, process)
    try:
        wait_for(server.answers, f"{interface} serves, see {log}")
        yield server
    finally:
        if process.poll() is None:
            server.stop()
