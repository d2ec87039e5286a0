"""From a durable event to a planned message, against django-post-office's mail.send."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from bench.bench import Bench
from bench.feed import Feed, total
from bench.measure import Cpu, Sample
from bench.options import Sizes
from bench.pipes import Child, child
from bench.place import Place, count, expect
from bench.results import Ratio
from bench.world import ENTERS, Shop, add_people, add_rule, open_shop
from campaigns.deciding import clock
from campaigns.ingest.record import record
from campaigns.journeys.advance import advance_due

SIZES: Final = (100, 1)


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id=f"planned.{size}/post_office",
            title=f"durable event to planned message, batch {size} / post_office mail.send",
            num=f"planned.{size}",
            den="post_office.send",
            target=5 if size > 1 else None,
        )
        for size in SIZES
    ]


def run(bench: Bench) -> None:
    """Time events whose rule mails at once, and mails queued one call each."""
    if find_spec("post_office") is None:
        bench.report.notes.append("django-post-office is not installed: not compared.")
        return
    with (
        bench.places("planned") as (place,),
        bench.stage.empty("post_office") as url,
        child(
            "bench.peer",
            DJANGO_SETTINGS_MODULE="bench.peer_settings",
            DATABASE_URL=url,
        ) as peer,
    ):
        peer.told()
        with place.here():
            shop = open_shop()
            add_rule(shop, "Cart", ENTERS, delay_hours=0)
            add_people(bench.sizes.people)
            feed = Feed("planned", people=bench.sizes.people, at=clock.now())
        ours = _Ours(bench, place, shop, feed)
        other = _Theirs(bench, peer)
        amounts = {100: bench.sizes.hundreds, 1: bench.sizes.single}
        for size in SIZES:
            ours.sample(size, size)
        other.sample(10)
        bench.interleaved(
            {f"planned.{size}": ours.of(size, amounts[size]) for size in SIZES}
            | {"post_office.send": lambda: other.sample(bench.sizes.single)}
        )
        with place.here():
            expect("mails", count("message"), feed.made)
            expect("queued", count("message", "state = 'queued'"), feed.made)


@dataclass(slots=True)
class _Ours:
    bench: Bench
    place: Place
    shop: Shop
    feed: Feed

    def of(self, size: int, n: int) -> Callable[[], Sample]:
        return lambda: self.sample(size, n)

    def sample(self, size: int, n: int) -> Sample:
        """Record events, and advance until every one has its message."""
        with self.place.here():
            batches = self.feed.batches(n, size=size, share=1.0)

            def work() -> int:
                for batch in batches:
                    record(batch, source=self.shop.source)
                planned = 0
                while moved := advance_due():
                    planned += moved
                return planned

            sample = self.bench.meter.timed(work)
            expect("mails planned", sample.n, total(batches))
        return sample


@dataclass(slots=True)
class _Theirs:
    bench: Bench
    peer: Child
    sent: int = 0

    def sample(self, n: int) -> Sample:
        """Have the other process queue mails."""
        meter = self.bench.meter
        with meter.watching(self.peer.pid):
            before = meter.cpu()
            told = self.peer.asked(n)
            used = meter.cpu() - before
        self.sent += n
        expect("mails of post_office", told["mails"], self.sent)
        return Sample(n, told["seconds"], Cpu(0.0, used.servers, used.postgres))
