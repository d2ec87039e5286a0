"""Run the django-q2 clusters of this host under a supervisor."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from campaigns.deciding import incarnation, server_version
from campaigns.deciding.address_key import AddressKeyChanged, confirm
from campaigns.deciding.outage import AWAY, distrust_connection
from campaigns.journeys import demo_data
from campaigns.management.locks import AlreadyRunning, hold
from campaigns.management.supervisor import Supervisor
from campaigns.watching import server

REFUSED: Final = (
    AddressKeyChanged,
    incarnation.Restored,
    server_version.ServerUnfit,
)


class Command(BaseCommand):
    """Starts, watches and restarts the clusters until it is asked to stop."""

    help = "Run the clusters that advance journeys, send mail and apply webhooks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "names",
            nargs="*",
            help=f"Which clusters (all by default): {', '.join(settings.CLUSTERS)}",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=30.0,
            help="Seconds that running work has to finish after SIGTERM (30).",
        )

    def handle(self, *_args: object, **options: object) -> None:
        """Run until SIGTERM or SIGINT."""
        names = options["names"] or list(settings.CLUSTERS)
        assert isinstance(names, list)  # noqa: S101 - nargs="*" says so
        unknown = sorted(set(names) - set(settings.CLUSTERS))
        if unknown:
            raise CommandError(
                f"There is no cluster {', '.join(unknown)}; "
                f"there are: {', '.join(settings.CLUSTERS)}."
            )
        check_database()
        grace = options["grace"]
        assert isinstance(grace, float)  # noqa: S101 - type=float says so
        try:
            lock = hold(settings.VAR_DIR / "cluster.lock")
        except AlreadyRunning:
            raise CommandError(
                f"The clusters of this installation run already (VAR_DIR is "
                f"{settings.VAR_DIR}). Stop them first, or set another VAR_DIR."
            ) from None
        with lock:
            _serve_metrics()
            Supervisor(
                names, manage=Path(settings.BASE_DIR) / "manage.py", grace_s=grace
            ).run()


def _serve_metrics() -> None:
    if not settings.METRICS_PORT:
        return
    try:
        server.serve(settings.BIND, settings.METRICS_PORT)
    except OSError as error:
        raise CommandError(
            f"METRICS_PORT {settings.METRICS_PORT} cannot be used: {error.strerror}."
        ) from None


def check_database() -> None:
    """Refuse a wrong key, none, or an old server. A database that is away is waited for."""
    try:
        server_version.confirm()
        incarnation.confirm()
        confirm()
    except REFUSED as refused:
        raise CommandError(str(refused)) from None
    except (*AWAY, ProgrammingError):
        distrust_connection()  # each task looks again before it works
    try:
        demo_data.confirm_key()
        if settings.SIMULATED:  # a rehearsal's data are a demo's
            demo_data.begin()
    except demo_data.KeyMissing as missing:
        raise CommandError(str(missing)) from None
    except (*AWAY, ProgrammingError):
        distrust_connection()
