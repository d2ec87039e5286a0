"""The proxies' example files, in the real proxies, before a server that tells what it got."""

import http.client
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.product import free_port
from tests.e2e.proxies import HOST, Caddy, Nginx, running

SPOOFED = "203.0.113.9"
REFUSED_S = 1.0  # in which Caddy has tried some times, and found nobody


class Telling(BaseHTTPRequestHandler):
    """Answers with the request's path, headers and length of body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {"path": self.path, "body": len(body), "headers": dict(self.headers)}
        sent = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_args):
        return


@pytest.fixture
def upstream():
    with telling(0) as port:
        yield port


@contextmanager
def telling(port):
    """Serve on the port, or a free one; yield it."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Telling)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=[Nginx, Caddy], ids=["nginx", "caddy"])
def proxy(request, tmp_path, upstream):
    with running(request.param, tmp_path, upstream) as made:
        yield made


def ask(port, path="/", *, tls=True, body=None, **headers):
    """Return (status, headers, body)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls:
        made = http.client.HTTPSConnection(HOST, port, timeout=20, context=context)
        # By its name, so that TLS asks for it, but wherever that name may lead.
        made.sock = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), 20), server_hostname=HOST
        )
    else:
        made = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(made) as to:
        sent = {"Host": HOST, **{k.replace("_", "-"): v for k, v in headers.items()}}
        to.request("GET" if body is None else "POST", path, body, sent)
        answer = to.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def test_the_client_is_the_last_entry_whatever_it_claims(proxy):
    status, _, body = ask(proxy.tls, "/v1/track", X_Forwarded_For=SPOOFED)
    told = json.loads(body)
    assert status == 200
    assert told["path"] == "/v1/track"
    assert told["headers"]["Host"] == HOST
    forwarded = told["headers"]["X-Forwarded-For"].split(",")
    assert forwarded[-1].strip() == "127.0.0.1"
    spoofed = ask(proxy.tls, "/", X_Forwarded_Proto="http")[2]
    assert json.loads(spoofed)["headers"]["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics/x"])
def test_counts_are_not_for_everybody(proxy, path):
    status, _, body = ask(proxy.tls, path)
    assert status == 404
    assert b"headers" not in body


def test_plain_http_is_sent_to_https(proxy):
    status, headers, _ = ask(proxy.plain, "/admin/?a=1", tls=False)
    assert status == 308
    assert headers["Location"].startswith(f"https://{HOST}")
    assert headers["Location"].endswith("/admin/?a=1")


def test_the_largest_webhook_passes_and_more_does_not(proxy):
    told = json.loads(ask(proxy.tls, "/webhooks/x", body=b"x" * 8_000_000)[2])
    assert told["body"] == 8_000_000
    try:
        status = ask(proxy.tls, "/webhooks/x", body=b"x" * 12_000_000)[0]
    except (OSError, http.client.HTTPException):
        return  # it was cut off
    assert status in (413, 502)


def test_caddy_keeps_what_has_no_body_while_the_web_process_is_restarted(tmp_path):
    port = free_port()  # nobody listens there yet
    with running(Caddy, tmp_path, port) as proxy, ThreadPoolExecutor(1) as clients:
        asked = clients.submit(ask, proxy.tls, "/c/mail/link")
        time.sleep(REFUSED_S)
        assert not asked.done()
        with telling(port):
            status, _, body = asked.result(20)
    assert status == 200
    assert json.loads(body)["path"] == "/c/mail/link"


def test_acme_is_answered(proxy):
    status, _, body = ask(proxy.plain, "/.well-known/acme-challenge/word", tls=False)
    # Caddy answers challenges of its own asking only.
    assert (status, body) == (200, b"ours") if proxy.name == "nginx" else status == 308
