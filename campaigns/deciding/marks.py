"""Low-water marks: where each claimer of a queue starts to look.

Every claim walks the index entries of rows that earlier claims took, until
vacuum removes them; a long snapshot keeps them for hours. A claimer therefore
starts at what it last took, lagging behind commits under way, and from the
very beginning every few seconds, for rows that became due in the past.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

LAG: Final = timedelta(seconds=2)
RESET_S: Final = 5.0
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Mark:
    """The mark of one queue in this process."""

    at: datetime = BEGINNING
    reset_at: float = field(default=0.0)

    def start(self) -> datetime:
        """Return from when on to look."""
        if time.monotonic() - self.reset_at > RESET_S:
            self.at = BEGINNING
            self.reset_at = time.monotonic()
        return self.at

    def took(self, newest: datetime) -> None:
        """Note the newest due time that was taken."""
        self.at = max(self.at, newest - LAG)


_marks: dict[tuple[object, ...], Mark] = {}


def mark_of(*queue: object) -> Mark:
    """Return this process's mark of a queue, named by these values."""
    return _marks.setdefault(queue, Mark())


def forget() -> None:
    """Look from the beginning again; for tests whose time goes back."""
    _marks.clear()
