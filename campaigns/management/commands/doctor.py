"""Look a deployment over and say what to mend; exit 0, 1 (warnings) or 2 (errors)."""

import sys
from argparse import ArgumentParser
from typing import Final

from django.core.management.base import BaseCommand

from campaigns.watching import doctor
from campaigns.watching.findings import Finding, Level

WORDS: Final = {Level.GOOD: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}


class Command(BaseCommand):
    """Says what is well, what is not, and what to do."""

    help = "Check this deployment: database, settings, clusters, provider, webhooks."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--quiet", action="store_true", help="Only what needs mending."
        )

    def handle(self, *_args: object, **options: object) -> None:
        """Print all findings; the worst is the exit status."""
        worst = Level.GOOD
        for finding in doctor.look():
            worst = max(worst, finding.level)
            if finding.level is not Level.GOOD or not options["quiet"]:
                self.stdout.write(_line(finding))
        if worst is not Level.GOOD:
            sys.exit(int(worst))


def _line(finding: Finding) -> str:
    line = f"{WORDS[finding.level]:8}{finding.part}: {finding.says}"
    return f"{line}\n        -> {finding.mend}" if finding.mend else line
