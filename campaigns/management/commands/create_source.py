"""Make a source of events, or another key for one."""

import secrets
from argparse import ArgumentParser
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from django.db.transaction import atomic

from campaigns.domain.events import Trust
from campaigns.models import Source, SourceKey
from campaigns.receive.auth import hash_key

KINDS: Final = ("segment",)
KEY_BYTES: Final = 24
SHOWN_CHARS: Final = 6
LONGEST_NAME: Final = 100


class Command(BaseCommand):
    """`create_source NAME --kind segment [--public]`; the last line is the key."""

    help = "Make a source, or a further key for it; the key is the last line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the name, the dialect and whether everybody may see the key."""
        parser.add_argument("name")
        parser.add_argument("--kind", choices=KINDS, default=KINDS[0])
        parser.add_argument(
            "--public",
            action="store_true",
            help="The key will stand in web pages, where anyone can use it.",
        )

    def handle(self, *args: object, **options: object) -> None:
        """Make what is missing; the key is shown this once and kept as a hash."""
        name = str(options["name"]).strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise CommandError(f"The name must have 1 to {LONGEST_NAME} letters.")
        kind = str(options["kind"])
        trust = Trust.PUBLIC if options["public"] else Trust.SECRET
        key = secrets.token_urlsafe(KEY_BYTES)
        with atomic():
            source, made = Source.objects.get_or_create(
                name=name, defaults={"kind": kind, "trust": trust}
            )
            if (source.kind, source.trust) != (kind, trust):
                raise CommandError(
                    f"There is a source {name!r} already, of kind {source.kind} and "
                    f"with {source.trust} keys. Take another name."
                )
            SourceKey.objects.create(
                source=source, key_hash=hash_key(key), prefix=key[:SHOWN_CHARS]
            )
        what = "The source" if made else "A further key of the source"
        self.stdout.write(f"{what} {name!r} is made. Its write key, shown only now:")
        self.stdout.write(key)
