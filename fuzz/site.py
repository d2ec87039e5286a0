"""The product that is fuzzed, and what it holds of the machine."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from bench.ports import free_port
from fuzz import staff
from fuzz.forms import Pair, read_form
from fuzz.requests import Target
from fuzz.staff import Staff
from fuzz.wire import Wire
from tests.e2e.load import Load, utc_now
from tests.e2e.product import Product, wait_for

TOKEN: Final = "token-of-the-fuzzer"  # noqa: S105 - of a throw-away installation
SETTINGS: Final = {"METRICS_TOKEN": TOKEN, "TRUSTED_PROXIES": "1"}
WARM_EVENTS: Final = 80  # a quarter of them lead to a mail
QUIET_S: Final = 900.0
WITHIN_S: Final = 90.0
_SESSION: Final = re.compile(rb"sessionid=(\w+)")
_LINK: Final = re.compile(r"<(http[^<>\s]+)>")
# A web request's failure, or any part's: what may never be in the log.
_TROUBLE: Final = re.compile(rb"Traceback \(most recent| ERROR |incident |panicked")
PENDING: Final = """
    SELECT count(*) FROM campaigns_webhookbatch WHERE pending_at IS NOT NULL"""
FAILED: Final = """
    SELECT id, error FROM campaigns_webhookbatch
    WHERE applied_at IS NULL AND pending_at IS NULL LIMIT 20"""
UNREAD: Final = """
    SELECT count(*) FROM campaigns_webhookbatch
    WHERE id > %s AND (summary->>'events')::int + (summary->>'repeats')::int = 0"""
OWN: Final = "SELECT id FROM campaigns_{} WHERE name LIKE 'Fuzz %' ORDER BY id"
OWN_RULES: Final = 3
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
        self.metrics_port = free_port()
        own = {**SETTINGS, "METRICS_PORT": str(self.metrics_port)}
        super().__init__(folder, **own, **settings)
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
            metrics_port=self.metrics_port,
            staff=self._staff(),
        )

    # --- somebody signed in -----------------------------------------------------

    def _staff(self) -> Staff:
        """Sign in, and publish templates and rules that may be changed at will."""
        who = self._sign_in()
        for number in range(OWN_RULES):
            words = {"subject": "Hello", "html": "<p>Hello</p>"}
            self._publish(who, "template", {"name": f"Fuzz {number}", **words})
        templates = self._own("template")
        for number, template in enumerate(templates):
            name = f"Fuzz {number}"
            rule = {"name": name, "kind": "transactional", "trigger_events": name}
            self._publish(who, "rule", rule, mail=str(template))
        return replace(who, templates=templates, rules=self._own("rule"))

    def _sign_in(self) -> Staff:
        """Sign in with a form, as people do."""
        password = (self.var / "admin_password").read_text().strip()
        token = secrets.token_hex(16)
        stranger = Staff(session="", token=token, rules=[], templates=[])
        pairs: list[Pair] = [("username", "admin"), ("password", password)]
        with closing(Wire(self.port)) as wire:
            wire.send(staff.post(stranger, "/admin/login/", pairs))
            wire.answer()
            found = _SESSION.search(wire.head)
        if found is None:
            raise RuntimeError(f"nobody could sign in: {wire.head[:80]!r}")
        return replace(stranger, session=found[1].decode())

    def _publish(
        self, who: Staff, model: str, values: dict[str, str], *, mail: str = ""
    ) -> None:
        path = f"{staff.ADMIN}/{model}/add/"
        form = read_form(self._answer(staff.get(who, path))[1], f"{model}_form")
        for name, value in values.items():
            form.put(name, value)
        if mail:
            form.put("sender", next(filter(None, form.choices["sender"])))
            form.add_row("steps", template=mail)
            form.add_row("steps", template=mail)
        form.put("_publish", "1")
        status, _ = self._answer(staff.post(who, path, form.pairs))
        if status != 302:
            raise RuntimeError(f"{values['name']} could not be published: {status}")

    def _own(self, table: str) -> list[int]:
        found = [key for (key,) in self.sql(OWN.format(table))]
        if len(found) != OWN_RULES:
            raise RuntimeError(f"there are {len(found)} of {table}")
        return found

    def is_signed_in(self, who: Staff) -> bool:
        """Return whether the session still opens the admin."""
        return self._answer(staff.get(who, "/admin/"))[0] == 200

    def _answer(self, data: bytes) -> tuple[int, bytes]:
        with closing(Wire(self.port)) as wire:
            wire.send(data)
            return wire.answer()

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

    def postgres(self) -> str:
        """Return the version of the database's server."""
        ((version,),) = self.sql("SHOW server_version")
        return str(version)

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

    def newest_webhook(self) -> int:
        """Return the id of the webhook stored last."""
        ((newest,),) = self.sql("SELECT max(id) FROM campaigns_webhookbatch")
        return int(newest or 0)

    def unread_webhooks(self, *, since: int) -> int:
        """Return how many of those stored later held nothing that could be read."""
        ((unread,),) = self.sql(UNREAD, since)
        return int(unread)

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
