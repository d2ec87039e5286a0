"""Each way a server can behave, over real sockets, and what is then known."""

import logging
import os
import socket
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from campaigns.domain.answers import Accepted, Ambiguous, Refusal, Refused
from campaigns.providers.registry import UnknownProvider, provider_for
from campaigns.providers.sendgrid.client import SendGridProvider, retry_after
from campaigns.providers.sendgrid.payload import body_of
from tests.unit.test_sendgrid_payload import FULL

PACKED = body_of(FULL)

OK = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: abc\r\nContent-Length: 0\r\n\r\n"


def answer(status, *headers, body=b""):
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_request(connection) -> bytes:
    """Return one request in full, or b'' when the client is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


class Server:
    """Runs `behave(connection, number)` for each connection, one after another."""

    def __init__(self, behave, *, context=None) -> None:
        self.behave = behave
        self.context = context
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            with connection:
                if self.closing.is_set():
                    return
                try:
                    self.serve(connection)
                except OSError:
                    continue

    def serve(self, connection) -> None:
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        self.connections += 1
        with connection:
            self.behave(self, connection)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.closing.set()
        with socket.create_connection(self.listener.getsockname()):
            pass
        self.thread.join()
        self.listener.close()


def says(reply):
    """Answer every request of a connection with the same bytes."""

    def behave(server, connection):
        while request := read_request(connection):
            server.requests.append(request)
            connection.sendall(reply)

    return behave


def sent_to(behave, *, timeout_s=5.0, **options):
    with Server(behave) as server:
        provider = SendGridProvider(api_key="SG.secret", host=server.url, **options)
        found = provider.send(PACKED, timeout_s=timeout_s)
        provider.close()
    return found


def test_a_202_is_accepted_with_its_id_and_the_connection_is_kept():
    with Server(says(OK)) as server:
        provider = SendGridProvider(api_key="SG.secret", host=server.url)
        found = [provider.send(PACKED, timeout_s=5) for _ in range(3)]
        provider.close()
    assert found == [Accepted("abc")] * 3
    assert server.connections == 1
    assert b"POST /v3/mail/send HTTP/1.1" in server.requests[0]
    assert b"Authorization: Bearer SG.secret" in server.requests[0]


@pytest.mark.parametrize("status", [400, 404, 405, 406, 413, 415])
def test_a_documented_4xx_is_a_refusal_with_its_words(status):
    body = b'{"errors":[{"field":"from","message":"odd"}]}'
    found = sent_to(says(answer(status, body=body)))
    assert found == Refused(Refusal.INVALID, f"HTTP {status}: from: odd", status)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_unauthorised(status):
    found = sent_to(says(answer(status, body=b"no\x00json")))
    assert found == Refused(
        Refusal.UNAUTHORISED, f"HTTP {status}: no\ufffdjson", status
    )


def test_a_429_says_how_long_to_wait():
    found = sent_to(says(answer(429, "Retry-After: 7")))
    wait = timedelta(seconds=7)
    assert found == Refused(Refusal.RATE_LIMITED, "HTTP 429", 429, wait)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "99999999"}, 3600),
        ({"retry-after": "soon"}, None),
        (
            {
                "date": "Sat, 21 Nov 2026 10:00:00 GMT",
                "retry-after": "Sat, 21 Nov 2026 10:00:30 GMT",
            },
            30,
        ),
        (
            {
                "date": "Sat, 21 Nov 2026 10:00:00 GMT",
                "retry-after": "Sat, 21 Nov 2026 09:00:00 GMT",
            },
            0,
        ),
        (
            {
                "date": "Sat, 21 Nov 2026 10:00:00 GMT",
                "x-ratelimit-reset": str(
                    int(datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC).timestamp())
                ),
            },
            5,
        ),
        ({"x-ratelimit-reset": "9" * 40}, None),
        ({"retry-after": "Sat, 99 Nov 2026"}, None),
    ],
)
def test_how_long_to_wait(headers, wait):
    expected = None if wait is None else timedelta(seconds=wait)
    assert retry_after(headers) == expected


@pytest.mark.parametrize(
    "status",
    [200, 201, 204, 301, 302, 308, 402, 408, 409, 418, 500, 502, 503, 504, 599],
)
def test_every_other_status_leaves_it_open(status):
    headers = ["Location: /elsewhere", "Retry-After: 1"]
    found = sent_to(says(answer(status, *headers)))
    assert isinstance(found, Ambiguous)
    assert found.status == status


def test_a_200_counts_only_in_sandbox_mode():
    assert sent_to(says(answer(200)), sandbox=True) == Accepted("")


@pytest.mark.parametrize(
    "reply",
    [
        b"I am no HTTP\r\n\r\n",
        b"HTTP/1.1 2O2 Accepted\r\n\r\n",
        b"\x00" * 100_000,
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"HTTP/1.1 202 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"",
    ],
)
def test_nonsense_leaves_it_open(reply):
    def behave(server, connection):
        server.requests.append(read_request(connection))
        connection.sendall(reply)

    assert isinstance(sent_to(behave), Ambiguous)


def test_a_reset_after_the_request_leaves_it_open_and_is_not_sent_again():
    def behave(server, connection):
        server.requests.append(read_request(connection))
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with Server(behave) as server:
        provider = SendGridProvider(api_key="k", host=server.url)
        assert isinstance(provider.send(PACKED, timeout_s=5), Ambiguous)
    assert len(server.requests) == 1


@pytest.mark.parametrize("part", [b"HTTP/1.1 202 Accepted\r\nX-Slow: ", b"HTTP/1"])
def test_a_server_that_drips_bytes_cannot_stretch_the_deadline(part):
    def behave(server, connection):
        read_request(connection)
        connection.sendall(part)
        while not server.closing.wait(0.05):
            connection.sendall(b"x")

    began = time.monotonic()
    assert isinstance(sent_to(behave, timeout_s=0.5), Ambiguous)
    assert time.monotonic() - began < 8


def test_a_silent_server_leaves_it_open_in_time():
    def behave(server, connection):
        read_request(connection)
        server.closing.wait(10)

    began = time.monotonic()
    assert isinstance(sent_to(behave, timeout_s=0.3), Ambiguous)
    assert time.monotonic() - began < 8


def test_a_202_whose_body_breaks_off_or_never_ends_is_accepted():
    head = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: abc\r\nContent-Length: 99999999\r\n"

    def breaks_off(_server, connection):
        read_request(connection)
        connection.sendall(head + b"\r\npart")

    def floods(_server, connection):
        read_request(connection)
        connection.sendall(head + b"\r\n" + b"x" * 300_000)

    def breaks_off_earlier(_server, connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-Mess")

    assert sent_to(breaks_off) == Accepted("abc")
    assert sent_to(breaks_off_earlier) == Accepted("")
    assert sent_to(floods) == Accepted("abc")


def test_an_idle_connection_that_was_closed_is_not_used_again():
    closed = threading.Event()

    def behave(server, connection):
        server.requests.append(read_request(connection))
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with Server(behave) as server:
        provider = SendGridProvider(api_key="k", host=server.url)
        for _ in range(3):
            closed.clear()
            assert provider.send(PACKED, timeout_s=5) == Accepted("abc")
            assert closed.wait(5)
    assert len(server.requests) == 3


def test_nobody_listening_is_surely_not_reached():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    provider = SendGridProvider(api_key="k", host=f"http://127.0.0.1:{port}")
    found = provider.send(PACKED, timeout_s=2)
    assert isinstance(found, Refused)
    assert found.refusal is Refusal.NOT_REACHED


def test_a_name_that_does_not_exist_is_surely_not_reached():
    found = SendGridProvider(api_key="k", host="http://nowhere.invalid").send(
        PACKED, timeout_s=5
    )
    assert isinstance(found, Refused)
    assert found.refusal is Refusal.NOT_REACHED


def certificate(folder) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "cert.pem").write_bytes(pem)
    (folder / "both.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_tls_works_with_a_trusted_certificate_and_only_with_one(tmp_path):
    context = certificate(tmp_path)
    with Server(says(OK), context=context) as server:
        trusting = SendGridProvider(
            api_key="k", host=server.url, ca_file=str(tmp_path / "cert.pem")
        )
        found = [trusting.send(PACKED, timeout_s=5) for _ in range(2)]
        trusting.close()
        doubting = SendGridProvider(api_key="k", host=server.url)
        refused = doubting.send(PACKED, timeout_s=5)
    assert found == [Accepted("abc")] * 2
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.NOT_REACHED
    assert len(server.requests) == 2


def test_a_handshake_that_drips_is_cut_off_and_surely_not_reached():
    def behave(server, connection):
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a record that never ends
        while not server.closing.wait(0.05):
            connection.sendall(b"x")

    began = time.monotonic()
    with Server(behave) as server:
        host = server.url.replace("http:", "https:")
        found = SendGridProvider(api_key="k", host=host).send(PACKED, timeout_s=0.5)
    assert isinstance(found, Refused)
    assert found.refusal is Refusal.NOT_REACHED
    assert time.monotonic() - began < 8


def test_the_key_is_never_logged_or_shown(caplog):
    caplog.set_level(logging.DEBUG)
    with Server(says(answer(401))) as server:
        provider = SendGridProvider(api_key="SG.secret", host=server.url)
        found = provider.send(PACKED, timeout_s=5)
        provider.close()
    assert "SG.secret" not in caplog.text + repr(provider) + repr(found)


@pytest.mark.parametrize("key", ["SG.a\nX: y", "a b", "ключ"])
def test_a_key_that_cannot_work_is_refused_without_being_shown(key):
    with pytest.raises(ValueError, match="SENDGRID_API_KEY") as refused:
        SendGridProvider(api_key=key, host="http://127.0.0.1")
    assert key not in str(refused.value)


@pytest.mark.parametrize("host", ["", "api.sendgrid.com", "ftp://x", "https://x/v3"])
def test_a_host_that_cannot_work_is_refused(host):
    with pytest.raises(ValueError, match="host"):
        SendGridProvider(api_key="k", host=host)


def test_the_registry_keeps_one_client_a_process(monkeypatch):
    host = "http://127.0.0.1:1"
    first = provider_for("sendgrid", api_key="k", host=host)
    assert provider_for("sendgrid", api_key="k", host=host) is first
    assert provider_for("sendgrid", api_key="other", host=host) is not first
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert provider_for("sendgrid", api_key="k", host=host) is not first
    with pytest.raises(UnknownProvider, match="carrier pigeon"):
        provider_for("carrier pigeon", api_key="k", host=host)
