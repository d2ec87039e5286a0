"""Print the key that addresses are hashed with, to keep it when SECRET_KEY changes."""

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Prints a secret: on purpose, and only here."""

    help = "Print the value for ADDRESS_HASH_KEY that keeps suppressions in force."
    requires_system_checks = ()  # it is asked for when a check fails

    def handle(self, *_args: object, **_options: object) -> None:
        """Print it as the last line."""
        self.stderr.write("Keep this secret; set it as ADDRESS_HASH_KEY:")
        self.stdout.write(settings.ADDRESS_HASH_KEYS[0])
