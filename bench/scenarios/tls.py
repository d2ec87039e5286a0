"""One mail after the other over TLS: our pooled transport and the stock client."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from sendgrid import SendGridAPIClient

from bench.bench import Bench
from bench.certificates import certificates
from bench.measure import Sample
from bench.options import Sizes
from bench.place import expect
from bench.results import Ratio
from bench.scenarios.sends import API_KEY, TIMEOUT_S, an_email
from bench.sinks import Sinking, sink
from campaigns.domain.answers import Accepted
from campaigns.domain.mail import OutgoingEmail
from campaigns.providers.sendgrid.client import SendGridProvider
from campaigns.providers.sendgrid.payload import mail_of

ACCEPTED: Final = 202


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="sends.tls",
            title="sends over TLS, pooled transport / stock SendGrid client, as many threads",
            num="tls.pooled",
            den="tls.stock",
            target=10,
        )
    ]


def run(bench: Bench) -> None:
    """Time hand-overs of rendered mails; both sides trust the same authorities."""
    files = certificates(bench.stage.folder)
    emails = [an_email(n) for n in range(bench.sizes.tls_mails)]
    threads = settings.CLUSTER_THREADS
    with (
        sink(None, certificate=files.server) as provider,
        ThreadPoolExecutor(threads) as pool,
        _trusting(files.authorities),
    ):
        pooled = SendGridProvider(
            api_key=API_KEY, host=provider.url, ca_file=str(files.authorities)
        )

        def ours(email: OutgoingEmail) -> bool:
            return isinstance(
                pooled.send(pooled.pack(email), timeout_s=TIMEOUT_S), Accepted
            )

        def stock(email: OutgoingEmail) -> bool:
            client = SendGridAPIClient(API_KEY, host=provider.url)
            return bool(client.send(mail_of(email)).status_code == ACCEPTED)

        def side(send: Callable[[OutgoingEmail], bool]) -> Callable[[], Sample]:
            return lambda: _timed(bench, pool, provider, send, emails)

        sides = {"tls.pooled": side(ours), "tls.stock": side(stock)}
        for each in sides.values():
            each()
        bench.interleaved(sides)
        pooled.close()


def _timed(
    bench: Bench,
    pool: ThreadPoolExecutor,
    provider: Sinking,
    send: Callable[[OutgoingEmail], bool],
    emails: list[OutgoingEmail],
) -> Sample:
    sample = bench.meter.timed(lambda: sum(pool.map(send, emails)))
    expect("mails accepted", sample.n, len(emails))
    expect("mails taken", provider.taken(), len(emails))
    return sample


@contextmanager
def _trusting(authorities: Path) -> Iterator[None]:
    """Have Python's own TLS, which the stock client uses, trust these authorities."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(authorities)
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
