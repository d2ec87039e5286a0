"""A web process takes another's place behind a proxy, by the lines of docs/operations.md.

Clients post all the while, as SDKs do, and count whatever is no 200.
"""

import http.client
import re
import select
import socket
import ssl
import subprocess
import time
from collections import Counter
from typing import Final

import pytest

from demo.sendgrid_simulator import Simulator
from tests.e2e.load import TIMEOUT_S, Load, utc_now
from tests.e2e.product import ROOT, wait_for
from tests.e2e.proxies import HOST, Caddy, Nginx, running
from tests.e2e.releases import KEY, SEED, Release, rows
from tests.e2e.servers import server

pytestmark = pytest.mark.crash

PAGE: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
UPGRADING: Final = PAGE.partition("## Upgrading, and going back")[2]
BLOCKS: Final = re.findall(
    r"^ *```sh\n(.*?)^ *```", UPGRADING, re.DOTALL | re.MULTILINE
)
RATE: Final = 150.0
MANY: Final = 100_000  # more than are ever posted
BESIDE_S: Final = 1.5  # of load before and after the change
CONTEXT: Final = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


class Proxied(Load):
    """A load by TLS, whose clients look whether a kept connection was closed."""

    def _connect(self):
        made = http.client.HTTPSConnection(HOST, self._port, timeout=TIMEOUT_S)
        plain = socket.create_connection((self._host, self._port), TIMEOUT_S)
        made.sock = CONTEXT.wrap_socket(plain, server_hostname=HOST)
        return made

    def _try(self, body, connection):
        # As urllib3 does, and so requests: what can be read before we ask is an end.
        if connection and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
            connection = None
        status, answer, connection = super()._try(body, connection)
        if connection and connection.sock is None:  # The answer said so.
            connection = None
        return status, answer, connection


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """What both web processes are told; the tables are made."""
    folder = tmp_path_factory.mktemp("site")
    provider = Simulator().start()
    with server(folder / "database") as database:
        told = {
            "DATABASE_URL": database.url,
            "SENDGRID_HOST": provider.url,
            "PUBLIC_URL": f"https://{HOST}",
            "TRUSTED_PROXIES": "1",
        }
        first = Release("first", ROOT, folder, **told)
        first.run("migrate")
        first.run("shell", "-c", SEED)
        yield told
    provider.stop()


@pytest.fixture
def webs(tmp_path, settings):
    both = [Release(name, ROOT, tmp_path, **settings) for name in ("old", "new")]
    yield both
    for each in both:
        each.kill()


@pytest.mark.parametrize("kind", [Nginx, Caddy], ids=["nginx", "caddy"])
def test_a_web_process_is_replaced_without_a_request_refused(
    kind, tmp_path, webs, settings
):
    old, new = webs
    old.start("web")
    with running(kind, tmp_path, old.port) as proxy:
        name = f"{kind.name}-{time.monotonic_ns()}"
        load = Proxied(port=proxy.tls, key=KEY, name=name, total=MANY, rate=RATE)
        load.start()
        wait_for(lambda: load.ledger.acknowledged, "events come")
        new.start("web")
        time.sleep(BESIDE_S)
        proxy.lead_to(new.port)
        told(proxy)
        old.stop("web")
        stopped_at = utc_now()
        time.sleep(BESIDE_S)
        ledger = load.enough()
    print(f"{len(ledger.acknowledged_at)} requests, {ledger.retries} of them in vain")
    assert ledger.refused == []
    assert ledger.retries == 0, "a request found nobody, or an error"
    assert ledger.given_up == set()
    after = [at for at in ledger.acknowledged_at.values() if at > stopped_at]
    assert 0 < len(after) < len(ledger.acknowledged_at)
    query = f"SELECT message_id FROM campaigns_event WHERE message_id LIKE '{name}-%'"
    stored = rows(settings["DATABASE_URL"], query)
    assert Counter(row[0] for row in stored) == Counter(ledger.acknowledged)
    assert "ERROR" not in old.logs() + new.logs()


def told(proxy):
    """Run the page's lines for this proxy, with its files in place of the usual ones."""
    (lines,) = [block for block in BLOCKS if f"{proxy.name} " in block]
    for usual, here in proxy.instead.items():
        assert usual in lines, usual
        lines = lines.replace(usual, here)
    done = subprocess.run(
        ["bash", "-euc", lines],
        env=proxy.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
