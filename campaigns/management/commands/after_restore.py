"""Put a database in order after a backup of it took its place."""

from argparse import ArgumentParser
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError

from campaigns.deciding import incarnation
from campaigns.dispatch import after_restore


class Command(BaseCommand):
    """Lets work begin again, with nothing that it would do twice."""

    help = (
        "After a restore: make `unknown` every mail that may have left since the "
        "backup, and let web and clusters work again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--until",
            type=datetime.fromisoformat,
            help="When the last mail can have left, such as 2026-03-02T09:30:00+00:00: "
            "when the former database stopped. By default now.",
        )
        parser.add_argument(
            "--nothing-lost",
            action="store_true",
            help="The database only moved (an upgrade, a failover without loss): take "
            "it as it is.",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="Also when nothing shows that it was restored: a snapshot of a disk.",
        )

    def handle(self, *_args: object, **options: object) -> None:
        """Put in order, and say what was done."""
        with incarnation.allowed():
            found = incarnation.read()
        if found.fits and not options["force"]:
            self.stdout.write(
                "Nothing shows that this database was restored; nothing was done. "
                "After a snapshot or a copy of a data folder: --force."
            )
            return
        if options["nothing_lost"]:
            incarnation.note(str(found), instead_of=found.noted)
            self.stdout.write("Taken as it is; web and clusters may work.")
            return
        self._put_in_order(options["until"])

    def _put_in_order(self, until: object) -> None:
        now = after_restore.now()
        if isinstance(until, datetime) and until.tzinfo is None:
            raise CommandError("--until needs its offset, such as +00:00 at its end.")
        if isinstance(until, datetime) and until > now:
            raise CommandError(f"--until is in the future; it is {now:%F %T} UTC.")
        given = until if isinstance(until, datetime) else None
        try:
            done = after_restore.put_in_order(until=given or now)
        except after_restore.EndsTooEarly as early:
            (since,) = early.args
            raise CommandError(_contradiction(given, now, since)) from None
        self.stdout.write(
            f"The backup is of {done.since:%F %T} UTC. {done.mails} mails may have left "
            f"between then and {done.until:%F %T}, and are `unknown` now: they leave "
            "only if you send them again in the admin. Web and clusters may work."
        )
        if done.paused:
            self.stdout.write(
                f"Paused: {', '.join(done.paused)}. If one of these was resumed since "
                "the backup, look at what waits in it before you resume it again."
            )


def _contradiction(until: datetime | None, now: datetime, since: datetime) -> str:
    """Return why no mail can be told: the times as --until takes them."""
    if until is None:
        return (
            f"The server's clock says {now.isoformat()}, but the data go on to "
            f"{since.isoformat()}. Set that clock right, or give --until."
        )
    return (
        f"--until is {until.isoformat()}, but the data go on to {since.isoformat()}: "
        "the former database cannot have stopped before its backup. Check the offset."
    )
