"""Print docs/settings.md as the code says it, or write it."""

from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from emailtriggers.variables import SETTINGS, page


class Command(BaseCommand):
    """Makes the table of all settings."""

    help = "Print the table of settings; with --write put it into docs/settings.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the option."""
        parser.add_argument("--write", action="store_true", help="Write the page.")

    def handle(self, *_args: object, **options: object) -> None:
        """Print or write."""
        made = page(SETTINGS.read_text(encoding="utf-8"))
        if options["write"]:
            target = Path(settings.BASE_DIR) / "docs" / "settings.md"
            target.write_text(made, encoding="utf-8")
        else:
            self.stdout.write(made, ending="")
