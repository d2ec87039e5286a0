"""The host by itself: its address for others, its disk, its cache."""

import ipaddress
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches

from campaigns.watching.findings import Finding, error, good, warning

LEAST_FREE: Final = 0.1
LEAST_FREE_BYTES: Final = 2**30
SHORTEST_TOKEN: Final = 20
CACHE_KEY: Final = "doctor"


def public_url() -> Iterator[Finding]:
    """Look whether links in mails can be opened by those who get them."""
    url = str(settings.PUBLIC_URL)
    host = str(urlsplit(url).hostname)
    if not url.startswith("https://"):
        level = warning if settings.SIMULATED else error
        yield level(
            "public url",
            f"PUBLIC_URL is {url}: not https.",
            "One-click unsubscribe (RFC 8058) needs https. Set PUBLIC_URL to what "
            "your proxy serves.",
        )
    if _is_local(host):
        level = warning if settings.SIMULATED else error
        yield level(
            "public url",
            f"{host} means nothing to whoever reads a mail elsewhere.",
            "Set PUBLIC_URL to a name that the whole internet can reach.",
        )
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        yield error(
            "public url",
            f"{host} has no address in the DNS, as seen from here.",
            "Mend the name, or the DNS: unsubscribe links lead nowhere.",
        )
        return
    yield good("public url", f"{host} has an address.")


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".local", ".internal", ".localhost")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host


def disk() -> Iterator[Finding]:
    """Look at the room where this installation writes."""
    folder = Path(settings.VAR_DIR)
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    says = f"{usage.free / 2**30:.1f} GB free at {folder}."
    if usage.free < LEAST_FREE_BYTES or usage.free < usage.total * LEAST_FREE:
        yield warning("disk", says, "Make room. The database's own disk counts more.")
    else:
        yield good("disk", says)


def cache() -> Iterator[Finding]:
    """Write a number to the shared cache and read it."""
    if "shared" not in settings.CACHES:
        yield good("cache", "None is set; each web worker counts rates by itself.")
        return
    try:
        shared = caches["shared"]
        shared.set(CACHE_KEY, 42, timeout=10)
        found = shared.get(CACHE_KEY)
    except Exception as failed:  # noqa: BLE001 - each driver has errors of its own
        found = type(failed).__name__
    if found != 42:
        yield warning(
            "cache",
            f"CACHE_URL leads to a cache that does not work ({found}).",
            "Events are taken all the same; rates of public keys are counted in each "
            "worker by itself. Mend it, or unset CACHE_URL.",
        )
    else:
        yield good("cache", "It answers.")


def metrics() -> Iterator[Finding]:
    """Tell whether anybody can watch."""
    token = settings.METRICS_TOKEN
    if token and len(token) < SHORTEST_TOKEN:
        yield warning(
            "metrics",
            f"METRICS_TOKEN has {len(token)} characters: it can be guessed.",
            f"Take {SHORTEST_TOKEN} or more, such as `openssl rand -hex 24` prints.",
        )
    elif token or settings.METRICS_NETWORKS:
        yield good("metrics", "/metrics can be read.")
    elif settings.SIMULATED:
        yield good("metrics", "/metrics is off, as nobody needs it in a demo.")
    else:
        yield warning(
            "metrics",
            "/metrics is off: nobody hears of trouble.",
            "Set METRICS_TOKEN or METRICS_NETWORKS, and load ops/prometheus/alerts.yml.",
        )
