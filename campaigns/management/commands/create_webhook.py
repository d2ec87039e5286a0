"""Make an address that a provider posts its events to."""

import secrets
from argparse import ArgumentParser
from typing import Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns.domain.signatures import KeyInvalid, parse_key
from campaigns.models import WebhookEndpoint

KINDS: Final = ("sendgrid",)
SLUG_BYTES: Final = 24


class Command(BaseCommand):
    """`create_webhook sendgrid --key BASE64 [--key ...]`; the last line is the path."""

    help = "Make a webhook address; its path is printed as the last line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the provider and the keys that its signatures are verified with."""
        parser.add_argument("kind", choices=KINDS, help="The provider.")
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="BASE64",
            help="A public verification key; give several while keys are rotated.",
        )

    def handle(self, *args: object, **options: object) -> None:
        """Check every key before anything is made."""
        given = options["key"]
        texts = [str(key) for key in given] if isinstance(given, list) else []
        if not texts:
            raise CommandError(
                "Give at least one --key: without it no webhook can be believed. It "
                "is in SendGrid under Settings, Mail Settings, Event Webhook."
            )
        keys = [_checked(place, text) for place, text in enumerate(texts, start=1)]
        endpoint = WebhookEndpoint.objects.create(
            slug=secrets.token_urlsafe(SLUG_BYTES),
            kind=str(options["kind"]),
            public_keys=list(dict.fromkeys(keys)),
        )
        self.stdout.write(f"Give SendGrid {settings.PUBLIC_URL} with this path:")
        self.stdout.write(endpoint.path())


def _checked(place: int, text: str) -> str:
    try:
        parse_key(text)
    except KeyInvalid as error:
        raise CommandError(f"--key number {place} is refused: {error}.") from error
    return text.strip()
