"""Serve the site: what a host in production starts."""

import os
from typing import Final, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns.journeys.demo_data import KeyMissing, confirm_key
from emailtriggers.running import PortTaken, check_web_port
from emailtriggers.serving import command

# What a stalled body may take, and the answer to it.
MARGIN_S: Final = 10


class Command(BaseCommand):
    """Becomes the web server; its signals are granian's own."""

    help = "Serve admin, API, webhooks and links until SIGTERM."

    def handle(self, *_args: object, **_options: object) -> NoReturn:
        """Replace this process by the server."""
        try:
            confirm_key()
            check_web_port()
        except (KeyMissing, PortTaken) as refused:
            raise CommandError(str(refused)) from None
        words = command(kill_after_s=settings.WEB_BODY_S + MARGIN_S)
        os.environ.setdefault("PROCESS_NAME", "web")
        os.execv(words[0], words)  # noqa: S606 - our own command, without a shell
