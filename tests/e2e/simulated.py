"""Talking to the simulator over HTTP, and receiving what it posts."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

from campaigns.domain.provider_events import read_batch

WAIT_S = 10


@dataclass
class Got:
    status: int
    body: bytes
    headers: dict[str, str]

    def json(self):
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args):
        return None


OPENER = urllib.request.build_opener(_NoRedirect)


def call(simulator, method, path, body=None, **headers) -> Got:
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    sent = {"Authorization": "Bearer key"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(
        simulator.url + path, data=body, headers=sent, method=method
    )
    try:
        answer = OPENER.open(request, timeout=WAIT_S)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Got(answer.status, answer.read(), dict(answer.headers))


def payload(**changes):
    made = {
        "personalizations": [
            {"to": [{"email": "ada@example.com"}], "custom_args": {"et_message": "7"}}
        ],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Hello <script>",
        "content": [
            {"type": "text/plain", "value": "Hello"},
            {
                "type": "text/html",
                "value": '<p>Hi</p><a href="https://shop.example/?a=1&amp;b=2">go</a>',
            },
        ],
    }
    return made | changes


def send(simulator, **changes) -> Got:
    return call(simulator, "POST", "/v3/mail/send", payload(**changes))


def quiet_mail(simulator) -> str:
    """Hand over a mail whose own events are not posted; return its id."""
    simulator.faults({"kind": "webhook_off", "times": 1})
    return send(simulator).headers["X-Message-Id"]


class Hook:
    """A receiver of webhooks that answers with the statuses it is given."""

    def __init__(self, *statuses: int) -> None:
        self.got: Queue[tuple[dict[str, str], bytes]] = Queue()
        answers = iter(statuses)
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(next(answers, 200))
                self.send_header("Content-Length", "0")
                self.end_headers()
                hook.got.put((dict(self.headers), body))

            def log_message(self, *_args):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def events(self, count):
        """Return the types of the next `count` events."""
        found = []
        while len(found) < count:
            _headers, body = self.got.get(timeout=WAIT_S)
            found += read_batch(body).events
        return found
