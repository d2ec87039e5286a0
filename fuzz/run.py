"""One run: requests in four quarters, what is held after each, and the verdict."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

from fuzz.crowd import Stage
from fuzz.heads import Kind
from fuzz.member import Tally, work
from fuzz.requests import CHUNK, Target
from fuzz.site import Held, Site

MEMBERS: Final = 2
QUARTERS: Final = 4
# Between the second quarter's end and the last one's: caches fill before that.
MOST_GROWTH_MB: Final = 24.0
MOST_FILES: Final = 24  # connections that close at that moment
MOST_SESSIONS: Final = 2 * (16 + 2)  # WEB_WORKERS, WEB_THREADS, lane and spare
HALF: Final = 0.5


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run was and what came of it; times in seconds."""

    seed: int
    postgres: str = ""  # the server's version
    webhooks_fruitful: int = 0  # signed ones, of which an item could be read
    tally: Tally = field(default_factory=Tally)
    held: list[Held] = field(default_factory=list)
    quarters_s: list[float] = field(default_factory=list)
    settled_s: float = 0.0
    mailed: bool = False
    breaches: list[str] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)

    @property
    def fruitful(self) -> int:
        """Return how many requests brought an event or a report that was accepted."""
        return self.tally.fruitful + self.webhooks_fruitful

    @property
    def took_s(self) -> float:
        """Return the seconds in which requests were sent."""
        return sum(self.quarters_s)

    @property
    def grown_mb(self) -> float:
        """Return what the web workers grew by between the second quarter and the end."""
        return round(self.held[-1].mb - self.held[1].mb, 1)


def run(
    site: Site,
    target: Target,
    *,
    seed: int,
    requests: int,
    seconds: float = math.inf,
    tell: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Send so many requests, and look what they did to the site.

    It ends early after so many `seconds`, a quarter of them for each quarter.
    `tell` is given a line after each quarter.
    """
    outcome = Outcome(seed=seed, postgres=site.postgres())
    workers = {worker.pid for worker in site.workers()}
    site.troubles()
    newest = site.newest_webhook()
    chunks = -(-requests // CHUNK)
    with ProcessPoolExecutor(MEMBERS, mp_context=get_context("spawn")) as crew:
        for quarter in range(QUARTERS):
            numbers = range(
                chunks * quarter // QUARTERS, chunks * (quarter + 1) // QUARTERS
            )
            began = time.monotonic()
            jobs = [
                crew.submit(
                    work, target, seed, numbers[member::MEMBERS], seconds / QUARTERS
                )
                for member in range(MEMBERS)
            ]
            for job in jobs:
                outcome.tally.add(job.result())
            outcome.quarters_s.append(time.monotonic() - began)
            outcome.held.append(site.held())
            tell(
                f"  {outcome.tally.sent:,} sent in {outcome.took_s:,.0f} s, "
                f"{outcome.tally.passed:,} past key and parser, "
                f"{len(outcome.tally.found)} found; {outcome.held[-1]}"
            )
    outcome.settled_s = site.settled()
    # The provider's own reports, which come beside them, can all be read.
    taken = outcome.tally.statuses[str(Kind.WEBHOOK), 200]
    outcome.webhooks_fruitful = taken - site.unread_webhooks(since=newest)
    outcome.mailed = site.mails_still_leave(f"after-{seed}-{requests}")
    outcome.breaches = [
        *outcome.tally.found,
        *_leaks(outcome.held),
        *(f"in the log: {line}" for line in site.troubles()[:20]),
        *site.failed_webhooks(),
        *site.differences(),
    ]
    if not site.is_signed_in(target.staff):
        outcome.breaches.append("whoever was signed in is so no more")
    if not outcome.mailed:
        outcome.breaches.append("a sound event became no mail")
    if {worker.pid for worker in site.workers()} != workers:
        outcome.breaches.append("a web worker ended and was started again")
    if outcome.tally.sent != chunks * CHUNK and seconds == math.inf:
        outcome.breaches.append("some requests were not sent")
    if outcome.fruitful < HALF * outcome.tally.sent:
        outcome.breaches.append("less than half brought something that was accepted")
    return outcome


def _leaks(held: Sequence[Held]) -> list[str]:
    before, after = held[1], held[-1]
    found = []
    if after.mb - before.mb > MOST_GROWTH_MB:
        found.append(f"web workers grew from {before.mb} to {after.mb} MB")
    # The pool starts its threads when they are needed; each has a session, a file.
    for what, old, new, most in (
        ("open files", before.files, after.files, MOST_FILES),
        ("threads", before.threads, after.threads, 1),
    ):
        if new - after.sessions > old - before.sessions + most:
            found.append(f"{what} grew from {old} to {new}")
    if after.sessions > MOST_SESSIONS:
        found.append(f"{after.sessions} sessions with the database are open")
    return found
