"""Token buckets in this process."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

MAX_BUCKETS: Final = 50_000
MAX_WAIT_S: Final = 300


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class Limiter:
    """Token buckets, a minute's worth deep, in this process. Thread-safe.

    A bucket that holds anything admits a whole batch and goes into debt, so
    that a big batch passes, and is paid for by waiting. The buckets least
    lately used are dropped. `clock` is monotonic, in seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, keys: Iterable[str], *, per_minute: int) -> int:
        """Return how many whole seconds until all `keys` admit again; 0 is now."""
        with self._lock:
            buckets = [self._bucket(key, per_minute) for key in keys]
            return self._wait_s(buckets, per_minute)

    def take(self, costs: Collection[tuple[str, int]], *, per_minute: int) -> int:
        """Take each (key, cost), or nothing; return the seconds to wait, 0 if taken."""
        with self._lock:
            buckets = [(self._bucket(key, per_minute), cost) for key, cost in costs]
            wait = self._wait_s((bucket for bucket, _ in buckets), per_minute)
            if not wait:
                for bucket, cost in buckets:
                    bucket.tokens -= cost
            return wait

    def forget(self) -> None:
        """Start with full buckets."""
        with self._lock:
            self._buckets.clear()

    def _wait_s(self, buckets: Iterable[_Bucket], per_minute: int) -> int:
        lacking = max((1.0 - bucket.tokens for bucket in buckets), default=0.0)
        if lacking <= 0:
            return 0
        return min(MAX_WAIT_S, max(1, math.ceil(lacking * 60 / per_minute)))

    def _bucket(self, key: str, per_minute: int) -> _Bucket:
        now = self.clock()
        bucket = self._buckets.pop(key, None) or _Bucket(float(per_minute), now)
        gained = (now - bucket.at) * per_minute / 60
        bucket.tokens = min(float(per_minute), bucket.tokens + gained)
        bucket.at = now
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket
