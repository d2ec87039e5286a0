"""/metrics of a host that has clusters and no web process."""

import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from campaigns.watching import page

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0


class _Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics, and nothing else."""

    timeout = PATIENCE_S
    server_version = "emailtriggers"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer as the web process does, without what the database says."""
        if self.path != "/metrics" or not page.is_on():
            self._answer(HTTPStatus.NOT_FOUND, b"")
            return
        given = self.headers.get("Authorization", "")
        # A proxy mostly stands in a network of ours: then only the token counts.
        proxied = "X-Forwarded-For" in self.headers
        if not page.is_allowed(given, "" if proxied else str(self.client_address[0])):
            self._answer(HTTPStatus.FORBIDDEN, page.FORBIDDEN.encode())
            return
        self._answer(HTTPStatus.OK, page.text(is_web=False))

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the default writes each request to standard error."""


def serve(host: str, port: int) -> ThreadingHTTPServer:
    """Serve in threads that end with the process. Raises OSError if the port is taken."""
    server = ThreadingHTTPServer((host, port), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    logger.info("metrics of this host at port %s", server.server_address[1])
    return server
