"""How much a public key may report: anyone can post with it."""

import ipaddress
from collections.abc import Collection
from typing import Final

from django.conf import settings
from django.http import HttpRequest

from campaigns.domain.events import IncomingEvent, SourceRef
from campaigns.receive.shared_limits import SharedLimiter

DEFAULT_PER_MINUTE: Final = 600

LIMITER: Final = SharedLimiter()


def public_rate() -> int:
    """Return how many events a minute an address, or a customer, may report."""
    rate: int = getattr(settings, "PUBLIC_RATE_PER_MINUTE", DEFAULT_PER_MINUTE)
    return max(1, rate)


def address_key(source: SourceRef, request: HttpRequest) -> str:
    """Name the bucket of the client's network address."""
    return f"{source.id}/address/{client_network(request)}"


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


def client_network(request: HttpRequest) -> str:
    """Return the client's address, or for IPv6 its /64."""
    return _network(client_address(request))


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
