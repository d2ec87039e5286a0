"""Run the whole product on this machine: what `make run` calls."""

import http.client
import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from campaigns.deciding import incarnation, server_version
from campaigns.deciding.address_key import AddressKeyChanged, confirm
from campaigns.domain.states import RuleStatus
from campaigns.journeys import demo_data
from campaigns.management.locks import AlreadyRunning, hold
from campaigns.models import ClusterBeat, Rule
from campaigns.queue import own_queue
from campaigns.reports import readiness
from emailtriggers import running
from emailtriggers.first_start import (
    ADMIN,
    ensure_admin,
    ensure_samples,
    ensure_simulator_webhook,
)
from emailtriggers.postgres import PostgresBroken

REFUSED: Final = (
    running.PortTaken,
    PostgresBroken,
    server_version.ServerUnfit,
    AddressKeyChanged,
    demo_data.KeyMissing,
    incarnation.Restored,
)
READY_S: Final = 30.0
EVENT: Final = (
    '{"userId":"u1","event":"Signed Up","context":{"traits":'
    '{"email":"ada@example.com","first_name":"Ada"}}}'
)


class Command(BaseCommand):
    """Database, migrations, samples, web, clusters and simulator in one go."""

    help = "Run everything on this machine until Ctrl-C."

    def handle(self, *_args: object, **_options: object) -> None:
        """Run until Ctrl-C, SIGTERM or the terminal's end."""
        try:
            lock = hold(settings.VAR_DIR / "run.lock")
        except AlreadyRunning:
            raise CommandError(
                f"This installation runs already (VAR_DIR is {settings.VAR_DIR}). Stop "
                "it first, with Ctrl-C in its terminal."
            ) from None
        with lock:
            self._run()

    def _run(self) -> None:
        run = running.Running()
        run.end_orphans()
        try:
            running.check_port("PORT", settings.PORT)
            if settings.SIMULATED:
                running.check_port("INBOX_PORT", settings.INBOX_PORT)
            if settings.EMBEDDED:
                run.start_postgres()
            if not run.stopping():
                self._start(run)
            run.watch()
        except REFUSED as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            which = "embedded" if settings.EMBEDDED else "DATABASE_URL"
            said = " ".join(str(error).split())
            raise CommandError(
                f"The database ({which}) does not answer: {said}"
            ) from error
        finally:
            if run.stopping():
                self.stderr.write("Stopping.")
            run.stop()

    def _start(self, run: running.Running) -> None:
        server_version.confirm()
        if readiness.unapplied():
            call_command("migrate", verbosity=0, interactive=False)
        incarnation.confirm()
        confirm()
        if settings.SIMULATED:
            demo_data.begin()
        paused = demo_data.confirm()
        for name in settings.CLUSTERS:
            # The web server may be asked before the clusters' supervisor is there.
            ClusterBeat.begin(own_queue(name))
        children = [running.web(), running.clusters()]
        if settings.SIMULATED:
            children.append(running.simulator(ensure_simulator_webhook()))
        run.start(children)
        # While those start; a password's check alone takes half a second.
        password = ensure_admin()
        key = ensure_samples()
        ready = self._wait_until_ready(run)
        if not run.stopping():
            active = Rule.objects.filter(status=RuleStatus.ACTIVE).count()
            self.stdout.write(welcome(password=password, key=key, active=active))
            if paused:
                self.stdout.write(f"  {demo_data.paused(paused)}\n")
            if not ready:
                self.stdout.write("Not all is well yet; /readyz says what.")
            self.stdout.flush()

    def _wait_until_ready(self, run: running.Running) -> bool:
        end = time.monotonic() + READY_S
        while time.monotonic() < end and not run.stopping():
            if is_ready():
                return True
            run.look()
            time.sleep(0.1)
        return False


def is_ready() -> bool:
    """Return whether /readyz of our own web server answers 200."""
    host = "127.0.0.1" if settings.BIND == "0.0.0.0" else settings.BIND  # noqa: S104
    asked = http.client.HTTPConnection(host, settings.PORT, timeout=5)
    try:
        asked.request("GET", "/readyz", headers={"Host": "localhost"})
        return asked.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        asked.close()


def welcome(*, password: str, key: str, active: int) -> str:
    """Return what a new user needs: addresses, login, key, and a first event.

    `active` rules may mail; with a real provider no event is proposed, for it
    would mail a stranger.
    """
    login = f"login {ADMIN}, password {password}" if password else "your own login"
    lines = ["", f"  Admin      {settings.PUBLIC_URL}/admin/   ({login})"]
    if settings.SIMULATED:
        lines.append(f"  Inbox      http://localhost:{settings.INBOX_PORT}/")
    else:
        lines.append(f"  Mail       leaves through SendGrid; active rules: {active}")
    if key:
        lines.append(f"  Write key  {key}")
    if key and settings.SIMULATED:
        lines += [
            "",
            "  Make the first mail arrive:",
            "",
            f"  curl -u {key}: -H 'Content-Type: application/json' \\",
            f"    {settings.PUBLIC_URL}/v1/track -d '{EVENT}'",
        ]
    kept = Path(settings.VAR_DIR)
    return "\n".join([*lines, "", f"  Data is kept in {kept}. Ctrl-C stops.", ""])
