"""Several hosts with web and clusters, one database and one provider, apart by network."""

import http.client
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
import pytest

from bench.pooler import Pooler
from demo.sendgrid_simulator import Simulator
from emailtriggers import embedded
from tests.e2e.load import Ledger, Load
from tests.e2e.network import Network
from tests.e2e.product import NOT_OURS, ROOT, managed, wait_for
from tests.e2e.servers import Server

NEEDS: Final = [
    pytest.mark.crash,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"),
        reason="network namespaces need root and iproute2",
    ),
]
SENT: Final = frozenset({"sent"})
ENDED: Final = frozenset({"sent", "unknown"})
AWAY_S: Final = 30.0
LATE_S: Final = 150.0  # of a machine that is slow and shared

PORT: Final = 8000
KEY: Final = "hosts-write-key"
SLUG: Final = "hosts-webhook-endpoint"
ALLOWED: Final = "local all all trust\nhost all all 198.18.0.0/16 trust\n"
SEED: Final = f"""
from campaigns.models import WebhookEndpoint
from demo.seed import seed
seed(write_key={KEY!r}, live=True)
WebhookEndpoint.objects.create(slug={SLUG!r}, public_keys=["%s"])
"""
STATES: Final = "SELECT state, count(*) FROM campaigns_message GROUP BY 1"
LOCK: Final = 4711
HELD: Final = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
BEATS: Final = (
    "SELECT count(*) FROM campaigns_clusterbeat WHERE name LIKE %s"
    " AND seen_at > clock_timestamp() - interval '10 seconds'"
)


class Host:
    """Web and clusters on one of the network's hosts."""

    def __init__(self, site: "Site", name: str, **environment: str) -> None:
        self.name = name
        self.address = site.network.address(name)
        self.folder = site.folder / name
        self.folder.mkdir()
        self._site = site
        kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
        self.environment = {
            **kept,
            "DATABASE_URL": site.url,
            "DATABASE_POOLED": "yes" if site.pooler else "no",
            "SENDGRID_HOST": site.provider.url,
            "SECRET_KEY": "k" * 64,
            "BIND": "0.0.0.0",
            "PORT": str(PORT),
            "ALLOWED_HOSTS": self.address,
            "VAR_DIR": str(self.folder / "var"),
            "CLUSTER_HOST": name,
            "WEB_WORKERS": "1",
            **environment,
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def manage(self, *command: str) -> str:
        """Run a management command here; return what it printed."""
        with self._site.network.inside(self.name):
            done = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *parts: str) -> "Host":
        """Start web, cluster or both, and wait until they work."""
        for part in parts:
            with (
                self._site.network.inside(self.name),
                (self.folder / f"{part}.log").open("ab") as log,
            ):
                self._processes.append(
                    managed(part, log=log, environment=self.environment)
                )
        if "web" in parts:
            wait_for(lambda: self.get("/healthz") == 200, f"{self.name} serves")
        if "cluster" in parts:
            wait_for(self.works, f"{self.name} works")
        return self

    def works(self) -> bool:
        """Return whether both clusters' canaries came back lately."""
        return self._site.rows(BEATS, f"%@{self.name}") == [(2,)]

    def get(self, path: str, *, patience_s: float = 5.0) -> int:
        """Return the status of a page, as a client sees it; 0 without an answer."""
        with (
            self._site.network.inside("clients"),
            closing(
                http.client.HTTPConnection(self.address, PORT, timeout=patience_s)
            ) as to,
            suppress(OSError, http.client.HTTPException),
        ):
            to.request("GET", path)
            return to.getresponse().status
        return 0

    def load(self, name: str, *, total: int, rate: float) -> Load:
        """Begin to post events to this host."""
        load = Load(
            host=self.address, port=PORT, key=KEY, name=name, total=total, rate=rate
        )
        with self._site.network.inside("clients"):
            return load.start()

    def logs(self) -> str:
        """Return what its processes said."""
        return "".join(p.read_text() for p in self.folder.glob("*.log"))

    def kill(self) -> None:
        """End all of it at once, as a power cut does."""
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                top = psutil.Process(process.pid)
                for each in [top, *top.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
            process.wait(10)
        self._processes.clear()


class Site:
    """Network, database and provider, and the hosts that are added.

    Pooled, the way to the database is through PgBouncer, on a host of its own.
    """

    def __init__(self, folder: Path, network: Network, *, pooled: bool = False) -> None:
        self.folder = folder
        self.network = network
        rules = folder / "hba.conf"
        rules.write_text(ALLOWED)
        self.server = Server(
            folder / "database", listen_addresses="*", hba_file=str(rules)
        )
        at = network.address("database")
        self.url = f"postgresql://postgres@{at}:5432/emailtriggers"
        self.pooler: Pooler | None = None
        if pooled:
            between = network.address("pooler")
            self.pooler = Pooler(
                folder / "pooler", f"host={at} port=5432", address=between
            )
            self.url = self.pooler.url
        with network.inside("inbox"):
            self.provider = Simulator(
                host=network.address("inbox"),
                webhook=f"http://{network.address('b')}:{PORT}/webhooks/sendgrid/{SLUG}",
            )
        self.hosts: dict[str, Host] = {}

    def start(self) -> "Site":
        """Start database, pooler and provider."""
        with self.network.inside("database"):
            self.server.start()
        if self.pooler:
            with self.network.inside("pooler"):
                self.pooler.start()
        with self.network.inside("inbox"):
            self.provider.start()
        return self

    def add(self, name: str, *parts: str, **environment: str) -> Host:
        """Start a host; the first one makes the tables and the rules."""
        host = self.hosts[name] = Host(self, name, **environment)
        if len(self.hosts) == 1:
            host.manage("migrate", "--verbosity", "0")
            host.manage("shell", "-c", SEED % self.provider.public_key)
        return host.start(*parts)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, asked past the network."""
        with psycopg.connect(
            embedded.url(self.server.postgres.data), autocommit=True
        ) as connection:
            return connection.execute(query, values or None).fetchall()

    def states(self) -> Counter[str]:
        """Return how many messages are in each state."""
        return Counter(dict(self.rows(STATES)))

    def in_hand(self) -> int:
        """Return how many mails some worker has claimed or is handing over."""
        states = self.states()
        return states["claimed"] + states["sending"]

    @contextmanager
    def lock_of(self, name: str) -> Iterator[None]:
        """Have that host hold a lock, in a transaction that it does not go on with."""
        with self.network.inside(name):
            connection = psycopg.connect(self.url, connect_timeout=5)
        with closing(connection):
            connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield

    def is_locked(self) -> bool:
        """Return whether PostgreSQL still keeps that lock."""
        return bool(self.rows(HELD, LOCK))

    def settled(self, mails: int, *, allowed: frozenset[str]) -> bool:
        """Return whether so many mails are there, and all in one of these states."""
        states = self.states()
        return states.total() == mails and states.keys() <= allowed

    def look_at(self, ledger: Ledger) -> None:
        """Hold what clients were told against the rows, and both against the provider."""
        assert ledger.refused == []
        assert ledger.given_up == set()
        stored = self.rows("SELECT message_id FROM campaigns_event")
        assert Counter(row[0] for row in stored) == Counter(ledger.acknowledged)
        handed = self.provider.handovers()
        assert set(handed.values()) == {1}
        sent = self.rows("SELECT id FROM campaigns_message WHERE state = 'sent'")
        assert {str(row[0]) for row in sent} <= handed.keys()
        self.hosts["b"].manage("check_sums")

    def stop(self) -> None:
        """Leave nothing behind."""
        for host in self.hosts.values():
            host.kill()
        self.provider.stop()
        if self.pooler:
            self.pooler.stop()
        self.server.postgres.stop()


@contextmanager
def site(folder: Path, *, pooled: bool = False) -> Iterator[Site]:
    """Have hosts a and b, a database, a provider and clients until the end."""
    network = Network("a", "b", "database", "inbox", "clients", "pooler")
    try:
        made = Site(folder, network.build(), pooled=pooled)
        try:
            yield made.start()
        finally:
            made.stop()
    finally:
        network.remove()
