"""The HTTP server: limits, authentication and routes of the simulator."""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from demo.sendgrid_simulator.answers import RefusedRequest, Reply
from demo.sendgrid_simulator.faults import Faults
from demo.sendgrid_simulator.inbox import Inbox
from demo.sendgrid_simulator.keys import SigningKey
from demo.sendgrid_simulator.programs import Programs
from demo.sendgrid_simulator.sending import HangUp, MailSend
from demo.sendgrid_simulator.settings_api import Settings
from demo.sendgrid_simulator.store import Store
from demo.sendgrid_simulator.webhooks import Webhooks

MAX_MAIL_BYTES: Final = 30 * 1024 * 1024
MAX_BODY_BYTES: Final = 1024 * 1024
IDLE_S: Final = 60.0
logger = logging.getLogger(__name__)


class Simulator:
    """All parts together: `start`, use `url`, `stop`. Port 0 takes a free one."""

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        data: Path | None = None,
        webhook: str = "",
        key_file: Path | None = None,
    ) -> None:
        if data is not None:
            data.mkdir(parents=True, exist_ok=True)
            key_file = key_file or data / "webhook-key.pem"
        self.key = SigningKey.kept_in(key_file)
        self.store = Store(data)
        self._faults = Faults()
        self.webhooks = Webhooks(self.key, self._faults, url=webhook, folder=data)
        self.sending = MailSend(self.store, self._faults, self.webhooks)
        self.settings = Settings(self.store, self.webhooks, self.key)
        self.programs = Programs(self.store, self._faults, self.webhooks, self.key)
        self.inbox = Inbox(self.store, self.programs)
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="simulator",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The address of the server, without a slash at its end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def public_key(self) -> str:
        """The key to verify webhooks with, as base64."""
        return self.key.public()

    def start(self) -> "Simulator":
        """Serve and post webhooks, each in a thread of its own."""
        self.webhooks.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving; connections that are open are closed."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()
        self._server.server_close()
        self.webhooks.stop()

    def messages(self, to: str | None = None) -> list[dict[str, object]]:
        """Return the accepted mails, newest first."""
        return [mail.shown() for mail in self.store.mails(to=to or "", limit=10_000)]

    def handovers(self) -> dict[str, int]:
        """Return how often each message was accepted."""
        counted = self.store.handovers()
        return {str(row["message"]): int(str(row["count"])) for row in counted}

    def faults(self, *rules: Mapping[str, object]) -> None:
        """Set the fault rules; none at all clears them."""
        self._faults.put([dict(rule) for rule in rules])

    def event(self, message_id: str, name: str, **extra: object) -> dict[str, object]:
        """Post a signed event about an accepted mail; raises KeyError for others."""
        mail = self.store.get(message_id)
        if mail is None:
            raise KeyError(message_id)
        return self.programs.make_event(mail, name, extra)

    def answer(
        self, method: str, target: str, headers: "_Headers", body: bytes
    ) -> Reply:
        """Answer one request; raises RefusedRequest or HangUp."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50))
        if parts.path.startswith("/v3/"):
            return self._v3(method, parts.path, query, headers, body)
        # Another site's page must not press our buttons in a visitor's browser.
        site = headers.get("Sec-Fetch-Site", "none")
        if method != "GET" and site not in {"same-origin", "none"}:
            raise RefusedRequest(403, "a page of another site may not do this")
        if parts.path.startswith("/api/"):
            return self.programs.answer(method, parts.path, query, body)
        return self.inbox.answer(method, parts.path, query)

    def _v3(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: "_Headers",
        body: bytes,
    ) -> Reply:
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise RefusedRequest(401, "authorization required")
        if path != "/v3/mail/send":
            return self.settings.answer(method, path, query, body)
        if method != "POST":
            raise RefusedRequest(405, "method not allowed")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedRequest(415, "Content-Type should be application/json.")
        slow = self._faults.strike("delay")
        if slow is not None:
            time.sleep(slow.delay_ms / 1000)
        return self.sending.post(body)


class _Headers(dict[str, str]):
    """Header values by name in any case."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in items)

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        return super().get(name.lower(), default)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type]

    def close_all(self) -> None:
        """End the connections that clients keep open."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        logger.debug("a client went away: %s", sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "SendGridSimulator"
    sys_version = ""
    timeout = IDLE_S
    wbufsize = -1  # an answer leaves in one piece
    disable_nagle_algorithm = True

    def handle_request(self) -> None:
        """Answer one request of any method."""
        try:
            body = self._body()
            reply = self.server.simulator.answer(
                self.command, self.path, _Headers(self.headers.items()), body
            )
        except RefusedRequest as refused:
            reply = refused.reply()
        except HangUp as hang_up:
            self.wfile.write(hang_up.last_words)
            self.close_connection = True
            return
        except ValueError as error:
            reply = RefusedRequest(400, f"Bad Request: {error}"[:300]).reply()
        self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_request  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        logger.debug(format, *args)

    def _body(self) -> bytes:
        try:
            length = self._length()
        except RefusedRequest:
            self.close_connection = True  # the body stays unread
            raise
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            raise RefusedRequest(400, "the body ended early")
        return body

    def _length(self) -> int:
        limit = MAX_MAIL_BYTES if self.path == "/v3/mail/send" else MAX_BODY_BYTES
        text = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            raise RefusedRequest(411, "Content-Length is required")
        if not (text.isascii() and text.isdigit() and len(text) < 15):
            raise RefusedRequest(400, "Content-Length must be a number")
        if int(text) > limit:
            raise RefusedRequest(413, f"content too large: at most {limit} bytes")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedRequest(415, "compressed bodies are not enabled")
        return int(text)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
