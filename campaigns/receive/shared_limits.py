"""Token buckets in the shared cache, so that all workers and hosts count together.

A bucket is one number: the microsecond at which it will be full again. Taking
adds to it, which Redis and Memcached do atomically. The cache decides nothing
else: lost, hung, flushed or forged, it only makes the limit another one.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.core.cache import BaseCache, caches

from campaigns.receive.buckets import MAX_WAIT_S, Limiter

logger = logging.getLogger(__name__)

ALIAS: Final = "shared"
REST_S: Final = 5.0  # without the cache after it failed
QUIET_S: Final = 60.0  # between two alarms
# Buckets charged one by one; the rest of a batch's customers all in one go, where
# a request of another worker at the same instant may go uncounted.
EXACTLY: Final = 8
MINUTE_US: Final = 60_000_000
# More than one request can take: who finds a fuller debt finds no number of ours.
MOST_EVENTS: Final = 10_000
SLACK_S: Final = 2

Costs = Collection[tuple[str, int]]


@dataclass(slots=True)
class SharedLimiter:
    """Limits by the shared cache if there is one, else, or if it fails, by `own`.

    `clock_us` is the time of day in microseconds, `monotonic` seconds. Thread-safe.
    """

    own: Limiter = field(default_factory=Limiter)
    clock_us: Callable[[], int] = lambda: time.time_ns() // 1000
    monotonic: Callable[[], float] = time.monotonic
    _rests_until: float = float("-inf")
    _alarmed_at: float = float("-inf")

    def wait_s(self, keys: Iterable[str], *, per_minute: int) -> int:
        """Return how many whole seconds until all `keys` admit again; 0 is now."""
        wanted = list(keys)
        return self._ask(
            lambda cache: _Look(self, cache, wanted, per_minute).wait_s(),
            lambda: self.own.wait_s(wanted, per_minute=per_minute),
        )

    def take(self, costs: Costs, *, per_minute: int) -> int:
        """Take each (key, cost), or nothing; return the seconds to wait, 0 if taken."""

        def shared(cache: BaseCache) -> int:
            look = _Look(self, cache, [key for key, _ in costs], per_minute)
            wait = look.wait_s()
            if not wait:
                look.charge(costs)
            return wait

        return self._ask(shared, lambda: self.own.take(costs, per_minute=per_minute))

    def forget(self) -> None:
        """Start anew in this process; the shared buckets stay."""
        self.own.forget()
        self._rests_until = self._alarmed_at = float("-inf")

    def _ask(self, shared: Callable[[BaseCache], int], own: Callable[[], int]) -> int:
        if ALIAS not in settings.CACHES or self.monotonic() < self._rests_until:
            return own()
        try:
            return shared(caches[ALIAS])
        except Exception:
            # Whatever a cache or its driver can come up with: no event is at stake.
            if self._rest():
                logger.exception("the cache fails; each worker counts rates by itself")
            return own()

    def _rest(self) -> bool:
        """Leave the cache alone for a while; return whether to say so."""
        now = self.monotonic()
        self._rests_until = now + REST_S
        is_quiet = now < self._alarmed_at + QUIET_S
        if not is_quiet:
            self._alarmed_at = now
        return not is_quiet


class _Look:
    """Some buckets as they were at one instant."""

    def __init__(
        self,
        limiter: SharedLimiter,
        cache: BaseCache,
        keys: Collection[str],
        per_minute: int,
    ) -> None:
        self.cache = cache
        self.event_us = MINUTE_US / per_minute
        self.names = {key: _name(key) for key in keys}
        found = cache.get_many(list(self.names.values()))
        self.now = limiter.clock_us()
        self.full_at = self._sane(found)

    def wait_s(self) -> int:
        latest = max(self.full_at.values(), default=0)
        # A bucket that holds one event admits, and may go into debt.
        lacking_us = latest - self.now - (MINUTE_US - self.event_us)
        if lacking_us <= 0:
            return 0
        return min(MAX_WAIT_S, max(1, math.ceil(lacking_us / 1_000_000)))

    def charge(self, costs: Costs) -> None:
        steps = [(self.names[key], math.ceil(n * self.event_us)) for key, n in costs]
        for name, step in steps[:EXACTLY]:
            self._add(name, step)
        rest = {name: self._after(name, step) for name, step in steps[EXACTLY:]}
        if rest:
            self.cache.set_many(rest, self._timeout_s(max(rest.values())))

    def _sane(self, found: Mapping[str, object]) -> dict[str, int]:
        """Return the numbers that can be ours, and drop what cannot."""
        most = self.now + MINUTE_US + int(MOST_EVENTS * self.event_us)
        sane = {
            name: value
            for name, value in found.items()
            if isinstance(value, int) and 0 <= value <= most
        }
        if len(sane) < len(found):
            self.cache.delete_many([name for name in found if name not in sane])
        return sane

    def _after(self, name: str, step: int) -> int:
        return max(self.full_at.get(name, 0), self.now) + step

    def _timeout_s(self, full_at: int) -> int:
        return (full_at - self.now) // 1_000_000 + SLACK_S

    def _add(self, name: str, step: int) -> None:
        after = self._after(name, step)
        timeout_s = self._timeout_s(after)
        known = self.full_at.get(name)
        if known is None:
            if self.cache.add(name, after, timeout_s):
                return
            step_on = step  # another worker was first
        else:
            step_on = after - known
        try:
            self.cache.incr(name, step_on)
            self.cache.touch(name, timeout_s)
        except ValueError:  # it expired in between: the bucket was full
            self.cache.add(name, after, timeout_s)


def _name(key: str) -> str:
    """Return a cache's key: short, and without a customer's id in it."""
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=16)
    return f"rate-{digest.hexdigest()}"
