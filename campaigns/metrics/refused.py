"""Count the requests without a valid key or signature; nothing else of them is kept."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import F
from django.utils import timezone

from campaigns.models import RefusedCount

FLUSH_S: Final = 5.0


def add_counts(counts: Counter[tuple[datetime, str]]) -> None:
    """Add the counts to the rows of their (hour, reason)."""
    for (hour, reason), count in sorted(counts.items()):
        row, _ = RefusedCount.objects.get_or_create(hour=hour, reason=reason)
        RefusedCount.objects.filter(pk=row.pk).update(count=F("count") + count)


@dataclass(slots=True)
class RefusedRequests:
    """Counts kept in the process and written every FLUSH_S seconds.

    So a flood of bad keys costs no write each; a killed process loses at most
    those seconds. Thread-safe. `clock` is monotonic, in seconds.
    """

    write: Callable[[Counter[tuple[datetime, str]]], None] = add_counts
    clock: Callable[[], float] = time.monotonic
    _counts: Counter[tuple[datetime, str]] = field(default_factory=Counter)
    _flushed_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, reason: str) -> None:
        """Count one refused request."""
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        with self._lock:
            self._counts[(hour, reason)] += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write what was counted, if the last time is long enough ago.

        What `write` raises goes to the caller; the counts are then kept.
        """
        if not self._counts:
            return
        with self._lock:
            now = self.clock()
            if self._flushed_at is not None and now - self._flushed_at < FLUSH_S:
                return
            self._flushed_at = now
            counts, self._counts = self._counts, Counter()
        try:
            self.write(counts)
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise

    def forget(self) -> None:
        """Drop what is not written yet."""
        with self._lock:
            self._counts.clear()
            self._flushed_at = None


REFUSED: Final = RefusedRequests()
