"""Refusals in the log: each kind's first lines of a minute, and how many were left out.

Whoever is refused writes our log: a flood would fill a disk, hide what matters and
cost more than its answers. What is left out is still counted in the metrics.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST: Final = 10  # lines of a kind within a window
WINDOW_S: Final = 60.0
# Loggers whose lines strangers can bring about, as many as they like.
OF_DJANGO: Final = ("django.request", "django.security")
OURS: Final = ("campaigns.feedback.views", "emailtriggers.signing_in")

Kind = tuple[str, int]


@dataclass(slots=True)
class _Window:
    began: float
    told: int = 0
    left_out: int = 0


class Floods(logging.Filter):
    """Passes every record but those refusals. Thread-safe; for handlers.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know no refusal yet."""
        super().__init__()
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is told; a window's first says what the last lost."""
        kind = kind_of(record)
        if kind is None:
            return True
        # Somebody's mistake is no failure of ours: a line, without our stack.
        record.exc_info = record.exc_text = None
        if kind[0].startswith("django.security"):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        with self._lock:
            left_out = self._left_out(kind)
        if left_out is None:
            return False
        if left_out:
            told = record.getMessage()
            record.msg = f"{told} ({left_out} more like this were left out before)"
            record.args = ()
        return True

    def _left_out(self, kind: Kind) -> int | None:
        """Return None to leave this one out, else what the window before left out."""
        now = self._clock()
        window = self._windows.setdefault(kind, _Window(now))
        left_out = 0
        if now - window.began >= WINDOW_S:
            left_out = window.left_out
            self._windows[kind] = window = _Window(now)
        if window.told < MOST:
            window.told += 1
            return left_out
        window.left_out += 1
        return None


def kind_of(record: logging.LogRecord) -> Kind | None:
    """Return (logger, status) of a client's refusal, None of all else. Few differ."""
    if record.name in OURS:
        return (record.name, 0) if "refused" in str(record.msg) else None
    if not record.name.startswith(OF_DJANGO):
        return None
    status = getattr(record, "status_code", 0)
    if not isinstance(status, int) or status >= 500:
        return None
    return (
        None
        if record.name == "django.request" and not status
        else (record.name, status)
    )
