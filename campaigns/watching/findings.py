"""What the doctor says: a finding, and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; also the exit status of the worst."""

    GOOD = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` says what to do, "" if nothing.

    `part` is a word by which tests and people find it.
    """

    level: Level
    part: str
    says: str
    mend: str = ""


Check = Callable[[], Iterator[Finding]]


def good(part: str, says: str) -> Finding:
    """Return that all is well with it."""
    return Finding(Level.GOOD, part, says)


def warning(part: str, says: str, mend: str) -> Finding:
    """Return what should be mended, though the work goes on."""
    return Finding(Level.WARNING, part, says, mend)


def error(part: str, says: str, mend: str) -> Finding:
    """Return what stops the work, loses something or breaks the law."""
    return Finding(Level.ERROR, part, says, mend)
