"""Make a source of events, or another key for one."""

from argparse import ArgumentParser
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from django.db.transaction import atomic

from campaigns.domain.events import Trust
from campaigns.models import Source
from campaigns.receive.auth import new_key

KINDS: Final = ("segment",)
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
        with atomic():
            source, made = Source.objects.get_or_create(
                name=name, defaults={"kind": kind, "trust": trust}
            )
            if (source.kind, source.trust) != (kind, trust):
                raise CommandError(
                    f"There is a source {name!r} already, of kind {source.kind} and "
                    f"with {source.trust} keys. Take another name."
                )
            key = new_key(source)
        what = "The source" if made else "A further key of the source"
        self.stdout.write(f"{what} {name!r} is made. Its write key, shown only now:")
        self.stdout.write(key)
