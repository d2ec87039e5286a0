"""A PostgreSQL that is too old, or not UTF8, is refused at the start in one sentence."""

import re
import socket
import socketserver
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
from django.db import connection, connections

from tests.e2e.product import ROOT, Product

SAID = re.compile(rb"(server_version\0)\d\d")


class OldServer(socketserver.BaseRequestHandler):
    """The real server, but for the version that it gives when one connects."""

    major = b""

    def handle(self):
        real = self.real()
        back = threading.Thread(target=self.pump, args=[real, self.request])
        back.start()
        self.pump(self.request, real)
        back.join()
        real.close()

    def real(self):
        at = connections["default"].settings_dict
        if at["HOST"].startswith("/"):
            to = socket.socket(socket.AF_UNIX)
            to.connect(f"{at['HOST']}/.s.PGSQL.{at['PORT'] or 5432}")
            return to
        return socket.create_connection((at["HOST"], int(at["PORT"] or 5432)))

    def pump(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(SAID.sub(rb"\g<1>" + self.major, data))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has left


def url_of(name, *, address=None, login=None):
    """Return the DATABASE_URL of a database of the tests' server."""
    at = connections["default"].settings_dict
    password = at["PASSWORD"] if login is None else ""
    login = login or quote(at["USER"], safe="")
    if password:
        login += ":" + quote(at["PASSWORD"], safe="")
    if address is None:
        address = quote(at["HOST"] or "localhost", safe="")
        address += f":{at['PORT']}" if at["PORT"] else ""
    return f"postgresql://{login}@{address}/{name}"


@pytest.fixture(params=["13", "14"])
def old_product(request, tmp_path, transactional_db):
    handler = type("Handler", (OldServer,), {"major": request.param.encode()})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    name = connections["default"].settings_dict["NAME"]
    url = url_of(name, address=f"127.0.0.1:{server.server_address[1]}")
    url += "?sslmode=disable"
    yield Product(tmp_path, DATABASE_URL=url, SECRET_KEY="k" * 60)
    server.shutdown()
    thread.join()
    server.server_close()


def words_of(product, *words):
    """Return the code and the words of a command that has to end by itself."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=product.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("command", ["run", "cluster"])
def test_an_old_server_is_refused_in_one_sentence(old_product, request, command):
    code, said = words_of(old_product, command)
    major = request.node.callspec.params["old_product"]
    assert code == 1
    assert said.startswith(
        f"CommandError: The database is PostgreSQL {major}, which is too old. "
        "Use PostgreSQL 15 or later"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize("old_product", ["14"], indirect=True)
@pytest.mark.parametrize(
    "words", [["migrate"], ["check", "--database", "default"]], ids=lambda w: w[0]
)
def test_a_release_does_not_migrate_an_old_server(old_product, words):
    code, said = words_of(old_product, *words)
    assert code == 1
    assert "(campaigns.E001) The database is PostgreSQL 14, which is too old" in said
    assert "Traceback" not in said


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])
def not_unicode(request, tmp_path, transactional_db):
    """An installation whose database has another encoding, as old clusters give one."""
    name = f"{connection.settings_dict['NAME']}_{request.param.lower()}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 "
            f"ENCODING '{request.param}' LOCALE_PROVIDER libc LOCALE 'C'"
        )
    yield Product(tmp_path, DATABASE_URL=url_of(name), SECRET_KEY="k" * 60)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("command", ["migrate", "run", "doctor"])
def test_a_database_that_is_not_utf8_is_refused_with_what_makes_another(
    not_unicode, request, command
):
    """Else events with any other letter are refused for ever, or answered 503."""
    encoding = request.node.callspec.params["not_unicode"]
    done = not_unicode.manage(command)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"The database's encoding is {encoding}; it must be UTF8" in said
    assert "createdb --encoding=UTF8 --template=template0" in said
    assert "Traceback" not in said


HUSH = "never-to-be-printed"


@pytest.fixture
def poor_role(transactional_db):
    """A role that may connect, and make nothing."""
    name = f"{connection.settings_dict['NAME']}_poor"  # roles are the whole server's
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{HUSH}'")
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("suffix", "address", "options", "words"),
    [
        ("", "127.0.0.1:1", "", "port 1,"),
        ("", None, "?sslmode=maybe", "invalid sslmode value"),
        ("_none", None, "", "does not exist"),
        ("", None, "", "permission denied for schema public"),
    ],
    ids=["closed port", "bad sslmode", "no such role", "no rights"],
)
def test_a_database_that_cannot_be_used_is_one_sentence_of_migrate(
    poor_role, tmp_path, suffix, address, options, words
):
    """It names host, port and database, for that is where the mistake is."""
    login = f"{poor_role}{suffix}:{HUSH}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {poor_role}")
    try:
        url = url_of(poor_role, address=address, login=login)
        product = Product(tmp_path, DATABASE_URL=url + options, SECRET_KEY="k" * 60)
        code, said = words_of(product, "migrate")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {poor_role} WITH (FORCE)")
    assert (code, said.count("\n")) == (1, 1), said
    assert said.startswith(f"The database '{poor_role}' on host ")
    assert words in said
    assert HUSH not in said
