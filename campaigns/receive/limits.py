"""How much a public key may report: anyone can post with it."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.http import HttpRequest

from campaigns.domain.events import IncomingEvent, SourceRef

MAX_BUCKETS: Final = 50_000
MAX_WAIT_S: Final = 300
DEFAULT_PER_MINUTE: Final = 600


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


LIMITER: Final = Limiter()


def public_rate() -> int:
    """Return how many events a minute an address, or a customer, may report."""
    rate: int = getattr(settings, "PUBLIC_RATE_PER_MINUTE", DEFAULT_PER_MINUTE)
    return max(1, rate)


def address_key(source: SourceRef, request: HttpRequest) -> str:
    """Name the bucket of the client's network address."""
    return f"{source.id}/address/{_network(client_address(request))}"


def costs(
    address: str, source: SourceRef, events: Collection[IncomingEvent], *, rejected: int
) -> list[tuple[str, int]]:
    """Return what a request takes: from its address, and from each customer."""
    people: dict[str, int] = {}
    for event in events:
        who = f"{source.id}/customer/{event.user_id or event.anonymous_id}"
        people[who] = people.get(who, 0) + 1
    return [(address, len(events) + rejected), *people.items()]


def client_address(request: HttpRequest) -> str:
    """Return the client's address, past TRUSTED_PROXIES proxies of our own.

    Without such proxies X-Forwarded-For is anyone's claim and is not read.
    """
    proxies: int = getattr(settings, "TRUSTED_PROXIES", 0)
    if proxies > 0:
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        if len(hops) >= proxies and hops[-proxies].strip():
            return hops[-proxies].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def _network(address: str) -> str:
    """Return the address, or for IPv6 its /64: one client owns a whole one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
