"""Whether this database is the one that mailed last, or a backup of it.

A backup that was put back does not know what was sent after it was made. So the
database keeps, as part of its data, which incarnation of itself it is; a copy
carries the words of its original, and they do not fit. Until `manage.py
after_restore` has run, nobody claims mails and nobody takes events.

What cannot be told apart is a disk that was put back as it was (a snapshot, a copy
of the data folder): after that, the command has to be run by hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from campaigns.deciding import database
from campaigns.deciding.database import DatabaseAway, Row
from campaigns.models import IngestState

STOPPED: Final = "stopped"  # fits no database
UNTOLD: Final = "-"
_RESTORED: Final = (
    "This database was restored from a backup, moved, or taken over by another "
    "server: mails that it holds for unsent may have left already. Nothing is taken "
    "and nothing sent until `python manage.py after_restore` has run "
    "(docs/operations.md, After a restore)."
)

_allowed = False


class Restored(DatabaseAway):
    """The database is not the one that mailed last; as good as away."""

    def __init__(self) -> None:
        super().__init__(_RESTORED)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """What was noted ("" before the first mail), and what is.

    A part that is "-" cannot be told just now, and fits whatever was noted.
    """

    noted: str
    server: str
    timeline: str
    oids: str

    def __str__(self) -> str:
        return " ".join(self._parts)

    @property
    def _parts(self) -> tuple[str, str, str]:
        return (self.server, self.timeline, self.oids)

    @property
    def is_whole(self) -> bool:
        """Return whether all of its parts could be told."""
        return UNTOLD not in self._parts

    @property
    def fits(self) -> bool:
        """Return whether this is the database that was noted, or none was."""
        if not self.noted:
            return True
        server, timeline, oids = (self.noted.split(" ") + [""] * 3)[:3]
        return (
            _fit(server, self.server)
            and _fit(oids, self.oids)
            and (settings.TRUST_FAILOVER or _fit(timeline, self.timeline))
        )


def _fit(noted: str, present: str) -> bool:
    return noted == present or UNTOLD in (noted, present)


def read() -> Incarnation:
    """Ask the database; a database without its row was never in use."""
    return _of(database.run("incarnation"))


def confirm() -> None:
    """Return if nothing was restored; note the incarnation before the first mail.

    Raises Restored, or a database error.
    """
    found = read()
    if not found.fits:
        raise Restored
    if found.noted != str(found) and (found.is_whole or not found.noted):
        note(str(found), instead_of=found.noted)


def note(words: str, *, instead_of: str) -> None:
    """Note another incarnation, unless somebody else was faster."""
    kept = IngestState.objects.filter(pk=1, incarnation=instead_of)
    kept.update(incarnation=words)


def watch() -> None:
    """Have every connection of this process looked at before it is used for work."""
    database.greet("incarnation", _look)


@contextmanager
def allowed() -> Iterator[None]:
    """Let this process work on a restored database, to put it in order."""
    global _allowed
    before, _allowed = _allowed, True
    try:
        yield
    finally:
        _allowed = before


def _look(rows: list[Row]) -> None:
    if not _allowed and not _of(rows).fits:
        raise Restored


def _of(rows: list[Row]) -> Incarnation:
    if not rows:
        return Incarnation("", UNTOLD, UNTOLD, UNTOLD)
    noted, server, timeline, database_oid, table_oid = rows[0]
    return Incarnation(noted, server, timeline, f"{database_oid}/{table_oid}")
