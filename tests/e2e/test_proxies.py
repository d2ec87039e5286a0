"""The proxies' example files, in the real proxies, before a server that tells what it got."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.product import free_port, wait_for

PROXY = Path(__file__).parents[2] / "ops" / "proxy"
HOST = "mail.example.com"
SPOOFED = "203.0.113.9"


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of the example's name, by itself."""
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={HOST}"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder


@contextmanager
def running(command, port, log, **environment):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, "the proxy")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


@contextmanager
def nginx(tmp_path, upstream, certificate):
    plain, tls = free_port(), free_port()
    text = (PROXY / "nginx.conf").read_text()
    for there, here in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2;",
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{upstream};",
        f"/etc/letsencrypt/live/{HOST}": str(certificate),
        "/var/www/acme": str(tmp_path / "acme"),
    }.items():
        assert there in text, there
        text = text.replace(there, here)
    for other in ("listen [::]:80;", "listen [::]:443 ssl http2;"):
        assert other in text
        text = text.replace(other, "")
    challenge = tmp_path / "acme" / ".well-known" / "acme-challenge"
    challenge.mkdir(parents=True)
    (challenge / "word").write_text("ours")
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log stderr; daemon off; user root;\n"
        f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/b;"
        f" proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;"
        f" uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n{text}\n}}\n"
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(whole)]
    with running(command, tls, tmp_path / "log", PATH="/usr/sbin:/usr/bin"):
        yield plain, tls


@contextmanager
def caddy(tmp_path, upstream, certificate):
    plain, tls = free_port(), free_port()
    text = (PROXY / "Caddyfile").read_text()
    name = "{$SITE:mail.example.com} {\n"
    assert name in text
    # Real certificates need the real name: here it brings its own.
    pair = f"\ttls {certificate}/fullchain.pem {certificate}/privkey.pem\n"
    top = f"{{\n\thttp_port {plain}\n\thttps_port {tls}\n\tadmin off\n}}\n"
    whole = tmp_path / "Caddyfile"
    whole.write_text(top + text.replace(name, name + pair))
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(whole)]
    environment = {
        "PATH": "/usr/bin",
        "HOME": str(tmp_path),
        "UPSTREAM": f"127.0.0.1:{upstream}",
    }
    with running(command, tls, tmp_path / "log", **environment):
        yield plain, tls


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request, tmp_path, upstream, certificate):
    """The ports, without and with TLS, and the proxy's name."""
    with request.param(tmp_path, upstream, certificate) as ports:
        yield *ports, request.param.__name__


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
    _, tls, _ = proxy
    status, _, body = ask(tls, "/v1/track", X_Forwarded_For=SPOOFED)
    told = json.loads(body)
    assert status == 200
    assert told["path"] == "/v1/track"
    assert told["headers"]["Host"] == HOST
    forwarded = told["headers"]["X-Forwarded-For"].split(",")
    assert forwarded[-1].strip() == "127.0.0.1"
    spoofed = ask(tls, "/", X_Forwarded_Proto="http")[2]
    assert json.loads(spoofed)["headers"]["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics/x"])
def test_counts_are_not_for_everybody(proxy, path):
    status, _, body = ask(proxy[1], path)
    assert status == 404
    assert b"headers" not in body


def test_plain_http_is_sent_to_https(proxy):
    status, headers, _ = ask(proxy[0], "/admin/?a=1", tls=False)
    assert status == 308
    assert headers["Location"].startswith(f"https://{HOST}")
    assert headers["Location"].endswith("/admin/?a=1")


def test_the_largest_webhook_passes_and_more_does_not(proxy):
    told = json.loads(ask(proxy[1], "/webhooks/x", body=b"x" * 8_000_000)[2])
    assert told["body"] == 8_000_000
    try:
        status = ask(proxy[1], "/webhooks/x", body=b"x" * 12_000_000)[0]
    except (OSError, http.client.HTTPException):
        return  # it was cut off
    assert status in (413, 502)


def test_caddy_keeps_requests_while_the_web_process_is_restarted(tmp_path, certificate):
    port = free_port()  # nobody listens there yet
    with (
        caddy(tmp_path, port, certificate) as (_, tls),
        ThreadPoolExecutor(1) as clients,
    ):
        asked = clients.submit(ask, tls, "/v1/track", body=b"{}")
        wait_for(lambda: asked.running(), "the request is under way")
        with telling(port):
            status, _, body = asked.result(20)
    assert status == 200
    assert json.loads(body)["body"] == 2


def test_acme_is_answered(proxy):
    plain, _, name = proxy
    status, _, body = ask(plain, "/.well-known/acme-challenge/word", tls=False)
    # Caddy answers challenges of its own asking only.
    assert (status, body) == (200, b"ours") if name == "nginx" else status == 308
