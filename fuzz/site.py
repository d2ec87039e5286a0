"""The product that is fuzzed, and what it holds of the machine."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from fuzz.requests import Target
from tests.e2e.load import Load, utc_now
from tests.e2e.product import Product, wait_for

TOKEN: Final = "token-of-the-fuzzer"  # noqa: S105 - of a throw-away installation
SETTINGS: Final = {"METRICS_TOKEN": TOKEN, "TRUSTED_PROXIES": "1"}
WARM_EVENTS: Final = 80  # a quarter of them lead to a mail
QUIET_S: Final = 900.0
WITHIN_S: Final = 90.0
_LINK: Final = re.compile(r"<(http[^<>\s]+)>")
# A web request's failure, or any part's: what may never be in the log.
_TROUBLE: Final = re.compile(rb"Traceback \(most recent| ERROR |incident |panicked")
PENDING: Final = """
    SELECT count(*) FROM campaigns_webhookbatch WHERE pending_at IS NOT NULL"""
FAILED: Final = """
    SELECT id, error FROM campaigns_webhookbatch
    WHERE applied_at IS NULL AND pending_at IS NULL LIMIT 20"""
SESSIONS: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the web workers hold, all together. `mb` is their PSS in megabytes."""

    mb: float
    files: int
    threads: int
    sessions: int  # with the database

    def as_json(self) -> dict[str, float]:
        """Return the figures."""
        return asdict(self)


class Site(Product):
    """An installation of its own in a folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Name the folder; settings are the product's own."""
        super().__init__(folder, **SETTINGS, **settings)
        self.port = int(self.environment["PORT"])
        self.inbox_port = int(self.environment["INBOX_PORT"])
        self._read = 0

    def target(self) -> Target:
        """Return what there is to attack, once the first mails have left."""
        made = self.manage("create_source", "Pages", "--kind", "segment", "--public")
        if made.returncode:
            raise RuntimeError(made.stderr)
        self._warm_up()
        ((slug,),) = self.sql("SELECT slug FROM campaigns_webhookendpoint")
        bodies = self.sql(
            "SELECT body FROM campaigns_webhookbatch ORDER BY id LIMIT 20"
        )
        return Target(
            port=self.port,
            key=self.key,
            public_key=made.stdout.split()[-1],
            webhook=f"/webhooks/sendgrid/{slug}",
            signing_key=(self.var / "simulator" / "webhook-key.pem").read_bytes(),
            signed_at=int(utc_now().timestamp()),
            links=sorted(set(self._links())),
            items=[item for (body,) in bodies for item in json.loads(bytes(body))],
            metrics_token=TOKEN,
        )

    def _warm_up(self) -> None:
        load = Load(port=self.port, key=self.key, name="warm", total=WARM_EVENTS)
        ledger = load.start().finish()
        mails = len(ledger.signed_up)
        wait_for(lambda: len(list(self._links())) >= mails, "mails", within_s=WITHIN_S)
        reported = "SELECT count(*) FROM campaigns_webhookbatch"
        wait_for(lambda: self.sql(reported)[0][0] > 0, "reports", within_s=WITHIN_S)

    def _links(self) -> Iterator[str]:
        for found in _LINK.findall(json.dumps(self.inbox())):
            path = urlsplit(found).path
            if path.startswith("/u/"):
                yield path

    def workers(self) -> list[psutil.Process]:
        """Return the web workers."""
        return self.part("web worker")

    def held(self) -> Held:
        """Return what the web workers hold now."""
        workers = self.workers()
        return Held(
            mb=round(sum(w.memory_full_info().pss for w in workers) / 2**20, 1),
            files=sum(w.num_fds() for w in workers),
            threads=sum(w.num_threads() for w in workers),
            sessions=self.sql(SESSIONS)[0][0],
        )

    def settled(self) -> float:
        """Wait until every stored webhook was applied; return the seconds."""
        began = time.monotonic()
        wait_for(
            lambda: self.sql(PENDING)[0][0] == 0,
            "all webhooks are applied",
            within_s=QUIET_S,
        )
        return time.monotonic() - began

    def troubles(self) -> list[str]:
        """Return the lines of the log since the last call that tell of a failure."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            lines = log.read().splitlines()
            self._read = log.tell()
        return [
            b" | ".join(lines[at : at + 30])[:4_000].decode(errors="replace")
            for at, line in enumerate(lines)
            if _TROUBLE.search(line)
        ]

    def failed_webhooks(self) -> list[str]:
        """Return the stored bodies that could not be applied, with the error."""
        return [f"webhook {key}: {error}" for key, error in self.sql(FAILED)]

    def differences(self) -> list[str]:
        """Return what `manage.py check_sums` complains of."""
        checked = self.manage("check_sums")
        return checked.stderr.splitlines() if checked.returncode else []

    def mails_still_leave(self, name: str) -> bool:
        """Return whether a sound event still becomes a mail."""
        load = Load(port=self.port, key=self.key, name=name, total=10)
        addresses = set(load.start().finish().signed_up)

        def arrived() -> bool:
            return all(self.inbox(f"/api/messages?to={each}") for each in addresses)

        with suppress(AssertionError):
            return wait_for(arrived, "the mails", within_s=WITHIN_S)
        return False
