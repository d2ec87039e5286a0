"""Check that every sum reconciles; exit 1 and say which does not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns.reports.sums import differences, totals


class Command(BaseCommand):
    """Check the books."""

    help = "Check that journeys, messages, timers and decisions reconcile."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each rule's totals; fail with every difference."""
        for sums in totals():
            self.stdout.write(
                f"rule {sums.rule}: {sums.touched} decisions, {sums.entered} entered, "
                f"{sums.journeys} journeys, {sums.messages} messages"
            )
        found = differences()
        if found:
            raise CommandError("\n".join(map(str, found)))
        self.stdout.write("All sums reconcile.")
