"""Due timers to planned and claimed mails, however many others wait."""

import time
from typing import Final

from django.db import connection
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from bench.bench import Bench
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, execute, expect, rows
from bench.results import Ratio, WrongResult
from bench.servers import cluster, until
from bench.sinks import Sinking, sink
from bench.waiting import add_mails, add_waiting
from bench.world import ENTERS, LIGHT, add_people, add_rule, open_shop
from campaigns.journeys.advance import advance_due
from campaigns.models import Rule
from campaigns.sending.claim import claim

AT_ONCE: Final = 100
DAY_S: Final = 86_400.0
APART_S: Final = 0.01
MANY_PEOPLE: Final = 100_000
FIRST: Final = 100_000_000  # ids of what is due; those that wait are below
QUEUE: Final = "bench"
TASKS: Final = """
    INSERT INTO django_q_ormq (key, payload, lock)
    SELECT %s, %s, now() + interval '1 day' FROM generate_series(1, %s)
"""


def ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="timers",
            title=f"advance and claim: {sizes.waiting:,} timers waiting / none (time each)",
            num="timers.many",
            den="timers.none",
            by="cost",
            target=1.3,
        )
    ]


def run(bench: Bench) -> None:
    """Time due timers to claimed mails, with many others waiting and with none."""
    with bench.places("many", "none") as (many, none):
        sides = [_Side(bench, place) for place in (many, none)]
        people = min(MANY_PEOPLE, bench.sizes.waiting)
        with many.here():
            add_people(people)
            waiting = bench.sizes.waiting
            add_waiting(
                sides[0].rule,
                range(1, waiting + 1),
                people=people,
                in_s=DAY_S,
                apart_s=APART_S,
                rendered=False,
            )
            execute("VACUUM ANALYZE campaigns_timer, campaigns_journey")
            execute("CHECKPOINT")
        for side in sides:
            side.sample()
        bench.interleaved(
            {"timers.many": sides[0].sample, "timers.none": sides[1].sample}
        )
        for side in sides:
            side.check()


class _Side:
    """One place; each part has due timers of people of its own."""

    def __init__(self, bench: Bench, place: Place) -> None:
        self._bench = bench
        self._place = place
        self._first = FIRST
        with place.here():
            self.rule = add_rule(open_shop(), "Cart", ENTERS)

    def sample(self) -> Sample:
        """Advance all that is due, and claim all mails that it planned."""
        n, first = self._bench.sizes.due, self._first
        self._first += n
        with self._place.here():
            add_people(n, first=first)
            # Each is of the customer with the journey's own number.
            ids = range(first, first + n)
            add_waiting(self.rule, ids, people=first + n, in_s=-1.0)
            execute("ANALYZE campaigns_timer, campaigns_journey, campaigns_message")
            connection.ensure_connection()
            sample = self._bench.meter.timed(_advance_and_claim)
            expect("claimed mails", sample.n, n)
        return sample

    def check(self) -> None:
        """Raise WrongResult unless each due journey has one claimed mail."""
        with self._place.here():
            done = self._first - FIRST
            expect("mails", count("message"), done)
            expect("claimed", count("message", "state = 'claimed'"), done)
            expect("timers of them", count("timer", f"journey_id >= {FIRST}"), 0)


def _advance_and_claim() -> int:
    planned = claimed = 0
    while moved := advance_due():
        planned += moved
    while claims := claim(limit=AT_ONCE):
        claimed += len(claims)
    if planned != claimed:
        raise WrongResult(f"{planned} mails planned, {claimed} claimed")
    return claimed


def claims_ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="claims/async_task",
            title=f"claims with {sizes.waiting:,} mails waiting / "
            "one async_task a message, as many waiting",
            num="claims.rows",
            den="claims.tasks",
            target=100,
        )
    ]


def run_claims(bench: Bench) -> None:
    """Time claims of due mails, and of due tasks in django-q2's own table."""
    waiting = bench.sizes.waiting
    with bench.places("rows", "tasks") as (ours, theirs):
        with ours.here():
            rule = add_rule(open_shop(), "Cart", ENTERS)
            add_mails(rule, range(1, waiting + 1), in_s=DAY_S)
            execute("VACUUM ANALYZE campaigns_message")
        with theirs.here():
            execute(TASKS, QUEUE, "a task", waiting)
            execute("VACUUM ANALYZE django_q_ormq")
        first = [FIRST]

        def claims() -> Sample:
            n = bench.sizes.due
            with ours.here():
                add_mails(rule, range(first[0], first[0] + n), in_s=-10.0)
                execute("ANALYZE campaigns_message")
                first[0] += n
                sample = bench.meter.timed(_claim_all)
                expect("claims", sample.n, n)
            return sample

        def tasks() -> Sample:
            n = bench.sizes.tasks
            with theirs.here():
                execute(
                    "INSERT INTO django_q_ormq (key, payload, lock) SELECT %s, 'due', "
                    "now() - interval '1 h' FROM generate_series(1, %s)",
                    QUEUE, n,
                )  # fmt: skip
                return bench.meter.timed(lambda: _dequeue(n))

        claims()
        tasks()
        bench.interleaved({"claims.rows": claims, "claims.tasks": tasks})
        with ours.here():
            wanted = first[0] - FIRST
            expect("claimed", count("message", "state = 'claimed'"), wanted)
        with theirs.here():
            ((left,),) = rows("SELECT count(*) FROM django_q_ormq")
            expect("tasks left", left, waiting)


def _claim_all() -> int:
    claimed = 0
    while claims := claim(limit=AT_ONCE):
        claimed += len(claims)
    return claimed


def _dequeue(n: int) -> int:
    """Take and acknowledge due tasks as django-q2's own broker does."""
    broker = ORM(list_key=QUEUE)
    done = 0
    while done < n:
        for ack_id, _ in broker.dequeue() or ():
            broker.acknowledge(ack_id)
            done += 1
    assert Conf.BULK == 1  # noqa: S101 - as the product's settings and stock ones say
    return done


def due_ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="due.claimed",
            title=f"due to claimed at {sizes.due_per_s} due a second: p99",
            num="due.claimed",
            by="p99",
            target=250,
            unit=" ms",
        ),
        Ratio(
            id="due.sending",
            title="due to handed over, the same run: p99",
            num="due.sending",
            by="p99",
            unit=" ms",
        ),
    ]


def run_due(bench: Bench) -> None:
    """Let timers become due at a steady rate, with a real cluster and a quick provider."""
    sizes = bench.sizes
    n = int(sizes.due_s * sizes.due_per_s)
    with bench.places("due") as (place,), sink(place) as provider, place.here():
        rule = add_rule(open_shop(mail=LIGHT), "Cart", ENTERS)
        add_people(n + 1)
        with (
            cluster(place, "mail", SENDGRID_HOST=provider.url) as pid,
            bench.meter.watching(pid),
        ):
            _become_due(bench, rule, provider, n)


def _become_due(bench: Bench, rule: Rule, provider: Sinking, n: int) -> None:
    add_waiting(rule, range(n + 1, n + 2), people=n + 1, in_s=0.0)
    until(lambda: count("message", "state = 'sent'") == 1, "a first mail")
    cpu = bench.meter.cpu()
    apart = 1 / bench.sizes.due_per_s
    add_waiting(rule, range(1, n + 1), people=n, in_s=2.0, apart_s=apart)
    began = time.perf_counter()
    until(lambda: count("message", "state = 'sent'") == n + 1, f"{n} mails")
    seconds = time.perf_counter() - began
    used = bench.meter.cpu() - cpu
    for name, column in (("claimed", "created_at"), ("sending", "sending_at")):
        late = rows(
            f"SELECT extract(epoch FROM {column} - due_at) * 1000"  # noqa: S608
            " FROM campaigns_message WHERE journey_id <= %s",
            n,
        )
        sample = Sample(n, seconds, used, [float(ms) for (ms,) in late])
        bench.report.add(f"due.{name}", sample)
    provider.check()
