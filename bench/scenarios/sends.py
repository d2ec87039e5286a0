"""Mails out of the door: the engine against a loop, an ideal and the stock client."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Final

from django.test import override_settings

from bench.bench import Bench
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, execute, expect, rows
from bench.results import Ratio
from bench.servers import cluster, until
from bench.sinks import Sinking, sink
from bench.waiting import add_waiting
from bench.world import ENTERS, LIGHT, USUAL, add_people, add_rule, open_shop
from campaigns.deciding.addresses import address_hash
from campaigns.dispatch.drain import drain
from campaigns.domain.answers import Accepted
from campaigns.domain.liquid import context_of
from campaigns.domain.mail import OutgoingEmail
from campaigns.domain.states import Kind
from campaigns.journeys.advance import advance_due
from campaigns.models import Provider
from campaigns.providers.sendgrid.client import SendGridProvider
from campaigns.rendering.compose import MailParts, Sources, compose
from campaigns.rendering.links import unsubscribe_url
from demo.samples.templates import SampleTemplate

LONG_S: Final = 600.0
TIMEOUT_S: Final = 8.0
DELAY_MS: Final = 100.0
SLOW_THREADS: Final = 64
SLOW_WORKERS: Final = 2  # processes, as in production
THEN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
API_KEY: Final = "SG.bench"
PRODUCTS: Final = [
    {"name": "Lamp", "quantity": 1, "price": 40},
    {"name": "Shade", "quantity": 2, "price": 12.5},
    {"name": "Bulb", "quantity": 4, "price": 3},
]


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="sends.quick",
            title="sends, 0 ms provider, one process / a loop that only renders and posts",
            num="sends.engine",
            den="sends.loop",
            target=0.7,
        ),
        Ratio(
            id="sends.slow",
            title="sends, 100 ms provider, 64 threads of a cluster / ideal",
            num="sends.slow",
            den="sends.ideal",
            target=0.9,
        ),
    ]


def run(bench: Bench) -> None:
    """Time mails that are queued, until the provider has them and they are settled."""
    with bench.places("sends") as (place,):
        queue = _Queue(bench, place)
        with sink(place) as quick:
            loop = _Loop(bench, quick)
            queue.sample(quick, 20)
            loop.sample(20)
            bench.interleaved(
                {
                    "sends.engine": lambda: queue.sample(quick, bench.sizes.mails),
                    "sends.loop": lambda: loop.sample(bench.sizes.mails),
                }
            )
    with bench.places("slow") as (place,), sink(place, delay_ms=DELAY_MS) as slow:
        _run_slow(bench, place, slow)


def _run_slow(bench: Bench, place: Place, provider: Sinking) -> None:
    """Time a real cluster whose threads wait for a slow provider."""
    n = bench.sizes.slow_mails
    queue = _Queue(bench, place, mail=LIGHT)
    with (
        cluster(
            place,
            "mail",
            SENDGRID_HOST=provider.url,
            CLUSTER_WORKERS=str(SLOW_WORKERS),
            CLUSTER_THREADS=str(SLOW_THREADS // SLOW_WORKERS),
        ) as pid,
        bench.meter.watching(pid),
    ):
        queue.cluster_sample(provider, 2 * SLOW_THREADS)
        bench.interleaved(
            {
                "sends.slow": lambda: queue.cluster_sample(provider, n),
                "sends.ideal": lambda: Sample(n, n / SLOW_THREADS * DELAY_MS / 1e3),
            }
        )


class _Queue:
    """Mails of people who were each planned one, and the engine that sends them."""

    def __init__(
        self, bench: Bench, place: Place, *, mail: SampleTemplate = USUAL
    ) -> None:
        self._bench = bench
        self._place = place
        self._next = 1
        self._sent = 0
        with place.here():
            self._rule = add_rule(open_shop(mail=mail), "Cart", ENTERS)

    def sample(self, provider: Sinking, n: int) -> Sample:
        """Plan mails, and time their sending by this process."""
        with (
            self._place.here(),
            override_settings(SENDGRID_HOST=provider.url, SENDGRID_API_KEY=API_KEY),
        ):
            self._plan(n)
            while advance_due():
                pass
            execute("ANALYZE campaigns_message")
            sample = self._bench.meter.timed(lambda: drain(limit_s=LONG_S))
            self._check(provider, n)
        return Sample(n, sample.seconds, sample.cpu)

    def cluster_sample(self, provider: Sinking, n: int) -> Sample:
        """Let the cluster plan mails, and time their sending from first to last."""
        with self._place.here():
            Provider.objects.update(enabled=False)
            first = self._plan(n)
            until(lambda: count("message") >= self._next - 1, f"{n} mails planned")
            before = self._bench.meter.cpu()
            Provider.objects.update(enabled=True)
            until(
                lambda: count("message", "state = 'sent'") >= self._next - 1,
                f"{n} mails sent",
            )
            used = self._bench.meter.cpu() - before
            ((seconds,),) = rows(
                "SELECT extract(epoch FROM max(settled_at) - min(sending_at))"
                " FROM campaigns_message WHERE journey_id >= %s",
                first,
            )
            self._check(provider, n)
        return Sample(n, float(seconds), replace(used, own=0.0))

    def _plan(self, n: int) -> int:
        """Make timers that are due now; return the first one's id."""
        first, self._next = self._next, self._next + n
        add_people(n, first=first)
        ids = range(first, self._next)
        add_waiting(self._rule, ids, people=self._next, in_s=-1.0)
        return first

    def _check(self, provider: Sinking, n: int) -> None:
        self._sent += n
        expect("mails sent", count("message", "state = 'sent'"), self._sent)
        expect("mails taken", provider.check(), n)


class _Loop:
    """Renders and posts one mail after the other: no database, no threads, no safety."""

    def __init__(self, bench: Bench, provider: Sinking) -> None:
        self._bench = bench
        self._sink = provider
        self._provider = SendGridProvider(api_key=API_KEY, host=provider.url)

    def sample(self, n: int) -> Sample:
        """Time so many mails."""
        self._sink.taken()
        sample = self._bench.meter.timed(lambda: self._work(n))
        expect("mails taken of the loop", self._sink.taken(), n)
        return sample

    def _work(self, n: int) -> int:
        accepted = 0
        for number in range(n):
            packed = self._provider.pack(an_email(number))
            answer = self._provider.send(packed, timeout_s=TIMEOUT_S)
            accepted += isinstance(answer, Accepted)
        return accepted


def an_email(number: int) -> OutgoingEmail:
    """Render the mail that the engine's rule sends, as the engine does."""
    address = f"u{number}@example.com"
    context = context_of(
        customer={
            "first_name": "Ada",
            "email": address,
            "user_id": f"u{number}",
            "time_zone": "",
            "locale": "",
        },
        event_name=ENTERS,
        properties={
            "cart_id": "c1",
            "currency": "EUR",
            "url": "https://shop.example/cart",
            "products": PRODUCTS,
        },
        context={},
        occurred_at=THEN,
        extra={"journey": {"woken_by": None}},
    )
    return compose(
        MailParts(
            sources=_sources(),
            context=context,
            kind=Kind.MARKETING,
            message_id=number,
            token=f"00000000-0000-0000-0000-{number:012d}",
            to_email=address,
            to_name="Ada",
            from_email="hello@acorn-supply.example",
            from_name="Acorn Supply",
            reply_to="",
            company="Acorn Supply Ltd",
            postal_address="1 Oak Street\n12345 Springfield",
            topic_id=1,
            topic_name="Tips and offers",
            unsubscribe_url=unsubscribe_url(number, number, 1, address_hash(address)),
            list_domain="acorn-supply.example",
            campaign="rule-1",
        )
    )


@cache
def _sources() -> Sources:
    return Sources(
        version=1,
        subject=USUAL.subject,
        preheader=USUAL.preheader,
        html=USUAL.html,
        text=USUAL.text,
    )
