"""/metrics: for whoever has the token or comes from a network of ours."""

import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from campaigns.metrics import counted
from campaigns.watching import gauges

PLAIN: Final = "text/plain; charset=utf-8"
FORBIDDEN: Final = "Not for you: it needs the token, or one of METRICS_NETWORKS.\n"


class _Given(Collector):
    """Metrics that were collected already."""

    def __init__(self, *parts: Iterable[Metric]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            yield from part


def text(*, is_web: bool = True) -> bytes:
    """Return the metrics as Prometheus reads them.

    What this host's processes counted; from the web also what the database says
    of all hosts.
    """
    present = gauges.collected() if is_web else ()
    return generate_latest(_Given(present, counted.collected()))


def is_allowed(authorization: str, address: str) -> bool:
    """Return whether the token fits, or the address lies in a network of ours."""
    scheme, _, given = authorization.partition(" ")
    token = settings.METRICS_TOKEN.encode()
    named = scheme.lower() == "bearer" and token
    if named and hmac.compare_digest(given.strip().encode(errors="replace"), token):
        return True
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(client, "ipv4_mapped", None)
    return any((mapped or client) in network for network in settings.METRICS_NETWORKS)


def _direct_address(request: HttpRequest) -> str:
    """Return the address of the connection, "" if a proxy passed the request on.

    Where others reach the port past the proxy, X-Forwarded-For is their own claim,
    and the proxy itself mostly stands in a network of ours.
    """
    if "X-Forwarded-For" in request.headers:
        return ""
    return str(request.META.get("REMOTE_ADDR", ""))


def is_on() -> bool:
    """Return whether anybody may read them at all."""
    return bool(settings.METRICS_TOKEN or settings.METRICS_NETWORKS)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer 200, 403 to strangers, 404 where nobody was let in."""
    if not is_on():
        raise Http404
    given = request.headers.get("Authorization", "")
    if not is_allowed(given, _direct_address(request)):
        return HttpResponse(FORBIDDEN, status=403, content_type=PLAIN)
    response = HttpResponse(text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response["Cache-Control"] = "no-store"
    return response
