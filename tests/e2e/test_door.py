"""The front door, over a real socket: as WSGI, but no client holds a thread."""

import json
import socket
import time
from contextlib import ExitStack, closing

import pytest

from tests.e2e import edge
from tests.e2e.edge import (
    HELD,
    LIMIT,
    PART,
    PARTS,
    THREADS,
    WAITING,
    answer,
    drain,
    serving,
)
from tests.e2e.product import wait_for

HOST = b"Host: shop.example\r\n"
CLOSE = HOST + b"Connection: close\r\n"


def post(path, body=b"", *, headers=b"", length=None):
    """Return a POST as bytes; `length` is what it says, if that is not the truth."""
    size = len(body) if length is None else length
    return (
        b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n%s\r\n"
        % (path, CLOSE, size, headers)
    ) + body


def get(path, *, method=b"GET", headers=b""):
    return b"%s %s HTTP/1.1\r\n%s%s\r\n" % (method, path, CLOSE, headers)


def chunked(*parts, last=b"0\r\n\r\n"):
    sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    head = b"POST /echo HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + sent + last


@pytest.fixture(scope="module")
def wsgi(tmp_path_factory):
    log = tmp_path_factory.mktemp("wsgi") / "log"
    with serving("wsgi", "tests.e2e.edge:application", log) as server:
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    log = tmp_path_factory.mktemp("door") / "log"
    with serving("rsgi", "tests.e2e.edge:door", log) as server:
        yield server


@pytest.fixture
def own_door(tmp_path):
    """One that the test may block, stop or crowd."""
    with serving("rsgi", "tests.e2e.edge:door", tmp_path / "log") as server:
        server.log = tmp_path / "log"
        yield server


SAME = {
    "get": get(b"/echo"),
    "head": get(b"/echo", method=b"HEAD"),
    "no-content": get(b"/nothing"),
    "other-method": get(b"/echo", method=b"PURGE"),
    "no-body": post(b"/echo"),
    "body": post(b"/echo", b"hello", headers=b"Content-Type: text/x-mine\r\n"),
    "big-body": post(b"/echo", b"b" * LIMIT),
    "chunks": chunked(b"abc", b"de"),
    "no-chunks": chunked(),
    "length-and-chunks": chunked(b"abc").replace(
        b"Transfer", b"Content-Length: 99\r\nTransfer"
    ),
    "two-lengths": post(b"/echo", b"abcd", headers=b"Content-Length: 3\r\n"),
    "signed-length": post(b"/echo").replace(b"Length: 0", b"Length: +3"),
    "negative-length": post(b"/echo").replace(b"Length: 0", b"Length: -3"),
    "bytes-beyond-the-length": post(b"/echo", b"hello", length=3),
    "expects-to-continue": post(b"/echo", b"hi", headers=b"Expect: 100-continue\r\n"),
    "query": get(b"/echo?a=1&a=%32&b=+%FF&c=%00;?/"),
    "raw-query": get(b"/echo?q=\xc3\xa9"),
    "broken-raw-query": get(b"/echo?q=\xe9"),
    "percent-path": get(b"/a%2Fb%20c%C3%A9%25/../d//e"),
    "raw-path": get(b"/\xc3\xa9"),
    "broken-raw-path": get(b"/\xe9"),
    "headers-with-several-values": get(
        b"/echo", headers=b"X-Many: 1\r\nx-many: 2, 3\r\nCookie: a=1\r\nCookie: b=2\r\n"
    ),
    "empty-header": get(b"/echo", headers=b"X-Empty:\r\n"),
    "header-beyond-ascii": get(b"/echo", headers=b"X-Name: Zo\xc3\xab\r\n"),
    "folded-header": get(b"/echo", headers=b"X-Long: a\r\n b\r\n"),
    "header-with-a-nul": get(b"/echo", headers=b"X-Nul: a\x00b\r\n"),
    "forwarded": get(b"/echo", headers=b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n"),
    "no-host": b"GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n",
    "whole-address": b"GET http://a.example/echo?x=1 HTTP/1.1\r\n%s\r\n" % CLOSE,
    "http-1.0": b"GET http://a.example/echo HTTP/1.0\r\n\r\n",
    "http-1.0-keeps": b"GET /echo HTTP/1.0\r\n%sConnection: keep-alive\r\n\r\n" % HOST,
    "asterisk": get(b"*", method=b"OPTIONS"),
    "no-http": b"hello\r\n\r\n",
    "two-at-once": get(b"/echo").replace(b"Connection: close\r\n", b"")
    + get(b"/echo?second"),
}


@pytest.mark.parametrize("raw", SAME.values(), ids=SAME.keys())
def test_a_request_is_what_it_is_by_wsgi(raw, wsgi, door):
    ours, theirs = (plain(server, server.ask(raw)) for server in (door, wsgi))
    assert ours == theirs
    assert b"HTTP/1." in ours


def plain(server, raw):
    """Return an answer without what differs from one server or second to the next."""
    lines = raw.replace(str(server.port).encode(), b"PORT").split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"date:"))


def test_what_is_said_of_a_request(door):
    raw = post(
        b"/a%20b/%C3%A9?q=%C3%A9",
        b"hello",
        headers=b"Content-Type: text/x-mine\r\nX-Many: 1\r\nX-Many: 2\r\n",
    )
    status, lines, body = answer(door.ask(raw))
    assert (status, [line for line in lines if "cookie" in line]) == (
        200,
        ["set-cookie: a=1", "set-cookie: b=2"],
    )
    assert json.loads(body) == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b/\u00c3\u00a9",
        "QUERY_STRING": "q=%C3%A9",
        "CONTENT_TYPE": "text/x-mine",
        "CONTENT_LENGTH": "5",
        "HTTP_HOST": "shop.example",
        "HTTP_CONNECTION": "close",
        "HTTP_X_MANY": "1,2",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(door.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "Granian",
        "scheme": "http",
        "body": 5,
        "start": "hello",
    }


def test_a_name_with_an_underscore_is_no_other_header(door):
    spoof = b"X_Forwarded_For: 6.6.6.6\r\n"
    _, _, body = answer(door.ask(get(b"/echo", headers=spoof)))
    assert "HTTP_X_FORWARDED_FOR" not in json.loads(body)


def test_a_path_that_is_no_text_stays_a_path(door):
    _, _, body = answer(door.ask(get(b"/a%FFb")))
    path = json.loads(body)["PATH_INFO"].encode("latin-1").decode()
    assert path == "/a\ufffdb"


def test_a_stream_arrives_whole_and_is_closed(door):
    status, lines, body = answer(door.ask(get(b"/stream")))
    assert (status, "transfer-encoding: chunked" in lines) == (200, True)
    assert body.count(b"x") == len(PART) * PARTS
    wait_for(lambda: told(door, b"/closed"), "the stream is closed")


def test_a_failure_is_answered_and_the_thread_goes_on(door):
    for _ in range(THREADS + 1):
        assert answer(door.ask(get(b"/fails")))[0] == 500
    assert answer(door.ask(get(b"/echo")))[0] == 200


@pytest.mark.parametrize("path", [b"/echo", b"/loop"], ids=["thread", "loop"])
def test_a_body_is_answered_in_a_thread_or_in_the_loop(path, door):
    _, _, body = answer(door.ask(post(path, b"hello")))
    assert (json.loads(body)["body"], json.loads(body)["start"]) == (5, "hello")


def test_an_answer_that_is_known_later_is_sent_by_another_thread(door):
    answers = [answer(door.ask(get(b"/later"))) for _ in range(20)]
    assert {status for status, _, _ in answers} == {200}
    assert answer(door.ask(get(b"/later-fails")))[0] == 500
    assert answer(door.ask(get(b"/later")))[0] == 200


def test_what_the_loop_declines_is_answered_in_a_thread(door):
    _, lines, body = answer(door.ask(post(b"/declined", b"hello")))
    assert json.loads(body)["body"] == 5
    assert "set-cookie: a=1" in lines  # as only the application does


TOO_LONG = {
    "announced": (post(b"/echo", length=LIMIT + 1), 0),
    "by-far": (post(b"/echo", b"x" * 100, length=10**12), 0),
    "in-chunks": (chunked(*[b"y" * 9_000] * 20, last=b""), LIMIT + 1),
}


@pytest.mark.parametrize(("raw", "read"), TOO_LONG.values(), ids=TOO_LONG.keys())
def test_a_body_beyond_the_limit_is_not_waited_for(raw, read, door):
    status, _, body = answer(door.ask(raw))
    assert (status, json.loads(body)["body"]) == (200, read)


def test_a_body_that_nobody_reads_is_not_waited_for(door):
    status, _, body = answer(door.ask(post(b"/unread", length=9)))
    assert (status, json.loads(body)["body"]) == (200, 0)


def test_a_body_that_ends_early_is_told_as_such(door):
    status, _, body = answer(door.ask(post(b"/echo", b"hel", length=5), end=True))
    assert (status, json.loads(body)["CONTENT_LENGTH"]) == (200, "5")
    assert json.loads(body)["body"] < 5


STALLED = {
    "nothing": post(b"/echo", length=9),
    "a-part": post(b"/echo", b"part", length=9),
    "much": post(b"/echo", b"x" * 70_000, length=90_000),
    "chunks": chunked(b"abc", last=b""),
    "half-a-chunk": chunked(last=b"50\r\nabc"),
}


@pytest.mark.parametrize("raw", STALLED.values(), ids=STALLED.keys())
def test_a_body_that_stalls_is_given_up(raw, door):
    began = time.monotonic()
    status, _, body = answer(door.ask(raw))
    assert (status, body) == (408, b"{}")
    assert edge.BODY_S <= time.monotonic() - began < edge.BODY_S + 20


def test_a_body_that_trickles_is_given_up_as_one_that_stalls(door):
    with closing(door.connect()) as to:
        to.sendall(post(b"/echo", length=1000))
        began, status = time.monotonic(), b""
        to.settimeout(0.05)
        while not status:
            assert time.monotonic() < began + 30
            to.sendall(b"x")
            try:
                status = to.recv(20)
            except TimeoutError:
                continue
    assert status.startswith(b"HTTP/1.1 408")


SILENT = {
    "from-the-start": b"",
    "within-the-head": b"GET / HTTP/1.1\r\nHost:",
    "after-an-answer": b"GET /echo HTTP/1.1\r\n%s\r\n" % HOST,
}


@pytest.mark.parametrize("raw", SILENT.values(), ids=SILENT.keys())
def test_a_client_that_falls_silent_is_dropped(raw, door):
    began = time.monotonic()
    said = door.ask(raw)
    assert edge.HEADER_S - 0.5 <= time.monotonic() - began < edge.HEADER_S + 20
    assert said.startswith(b"HTTP/1.1 200") is (raw.endswith(b"\r\n\r\n"))


def test_busy_threads_make_others_wait_then_come_again_and_the_loop_answers(own_door):
    with ExitStack() as stack:
        blocked = [
            stack.enter_context(closing(own_door.connect()))
            for _ in range(THREADS + WAITING)
        ]
        for to in blocked:
            to.sendall(get(b"/block"))
        wait_for(
            lambda: answer(own_door.ask(get(b"/echo")))[0] == 503, "the queue is full"
        )
        assert told(own_door, b"/loop")["REQUEST_METHOD"] == "GET"
        own_door.ask(get(b"/release"))
        assert [answer(drain(to))[0] for to in blocked] == [200] * len(blocked)
    assert answer(own_door.ask(get(b"/echo")))[0] == 200


def test_all_bodies_together_hold_no_more_than_their_bound(own_door):
    much = post(b"/echo", b"x" * 90_000, length=95_000)
    with ExitStack() as stack:
        sent = [stack.enter_context(closing(own_door.connect())) for _ in range(8)]
        for to in sent:
            to.sendall(much)
        statuses = [answer(drain(to))[0] for to in sent]
    assert set(statuses) == {408, 503}
    assert statuses.count(408) <= HELD // 90_000
    assert own_door.log.read_text().count("requests are answered 503") == 1
    assert answer(own_door.ask(post(b"/echo", b"x" * 90_000)))[0] == 200


def test_a_stop_answers_what_is_under_way_and_ends(own_door):
    with closing(own_door.connect()) as busy, closing(own_door.connect()) as half:
        busy.sendall(get(b"/block"))
        half.sendall(post(b"/echo", b"ha", length=4))
        wait_for(lambda: told(own_door, b"/loop"), "both are under way")
        release = own_door.connect()
        release.sendall(get(b"/release").replace(b"GET", b"POST")[:-2])
        own_door.process.terminate()
        wait_for(lambda: not own_door.answers(), "it takes no more")
        half.sendall(b"lf")
        release.sendall(b"\r\n")
        assert answer(drain(release))[0] == 200
        release.close()
        assert [answer(drain(to))[0] for to in (busy, half)] == [200, 200]
    assert own_door.process.wait(15) == 0
    assert "Traceback" not in own_door.log.read_text()


def test_idle_and_stalling_clients_keep_nobody_from_being_served(own_door):
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(closing(own_door.connect()))
        for n in range(100):
            to = stack.enter_context(closing(own_door.connect()))
            to.sendall(post(b"/echo", b"x" * n, length=200))
        began = time.monotonic()
        assert answer(own_door.ask(get(b"/echo")))[0] == 200
        assert time.monotonic() - began < edge.BODY_S


def test_a_client_that_leaves_costs_nothing(door):
    for raw in (get(b"/stream"), post(b"/echo", b"x", length=9), chunked(last=b"")):
        with closing(door.connect()) as to:
            to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            to.sendall(raw)
    assert answer(door.ask(get(b"/echo")))[0] == 200


def told(server, path):
    return json.loads(answer(server.ask(get(path)))[2])
