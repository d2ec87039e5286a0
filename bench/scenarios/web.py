"""Events over HTTP, durable when they are acknowledged, with real servers."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

from bench.bench import Bench
from bench.client import Spec
from bench.crew import Crew
from bench.load import load
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, expect, rows
from bench.results import Ratio, WrongResult
from bench.servers import granian, web
from bench.world import ENTERS, KEY, PASSES, add_people, add_rule, open_shop

SHARE: Final = 0.3
PEOPLE: Final = 20_000
WARM_S: Final = 0.5
BATCH: Final = 100
BATCH_CONNECTIONS: Final = 16
HOT: Final = "Hot"
NAIVE: Final = {"DJANGO_SETTINGS_MODULE": "bench.naive_settings"}


def ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="http/naive",
            title=f"single events over HTTP, {sizes.connections} connections / naive Django ORM view",
            num="http.single",
            den="http.naive",
            target=15,
        ),
        Ratio(
            id="http/transaction",
            title=f"single events over HTTP, {sizes.connections} connections / one transaction a request",
            num="http.single",
            den="http.transaction",
            target=2,
        ),
        Ratio(
            id="http/transaction.p50",
            title="p50 with one client / one transaction a request",
            num="http.one",
            den="http.one.transaction",
            by="p50",
            target=1.1,
        ),
    ]


def run(bench: Bench) -> None:
    """Time single events: the product's door, without group commit, and naive."""
    with ExitStack() as stack:
        ours, plain, naive = stack.enter_context(
            bench.places("group", "transaction", "naive")
        )
        people = min(bench.sizes.people, PEOPLE)
        for place in (ours, plain, naive):
            _fill(place, people)
        sides = [
            Side(bench, ours, stack.enter_context(web(ours)), people),
            Side(
                bench,
                plain,
                stack.enter_context(
                    granian(plain, "bench.plain:door", interface="rsgi")
                ),
                people,
            ),
            Side(
                bench,
                naive,
                stack.enter_context(
                    granian(naive, "bench.naive:application", interface="wsgi", **NAIVE)
                ),
                people,
            ),
        ]
        for side in sides:
            side.warm_up()
        names = ("http.single", "http.transaction", "http.naive")
        bench.interleaved(
            {name: side.sample for name, side in zip(names, sides, strict=True)}
        )
        bench.interleaved(
            {
                "http.one": sides[0].one_client,
                "http.one.transaction": sides[1].one_client,
            }
        )
        for side in sides:
            side.check()


def hot_ratios(sizes: Sizes) -> list[Ratio]:
    """Return what is compared; only a collapse would be wrong."""
    return [
        Ratio(
            id="hot",
            title=f"one hot person, {sizes.connections} connections / {sizes.connections} people",
            num="hot.one",
            den="hot.many",
        )
    ]


def run_hot(bench: Bench) -> None:
    """Time events that all are of one person, and of as many as connections."""
    with bench.places("hot") as (place,), ExitStack() as stack:
        with place.here():
            add_rule(open_shop(), "Hot", HOT, cooldown_key="")
            add_people(bench.sizes.connections)
        server = stack.enter_context(web(place))
        side = Side(bench, place, server, 1, enters=HOT, share=1.0)
        side.warm_up()
        bench.interleaved(
            {
                "hot.one": side.sample,
                "hot.many": lambda: side.sample(people=bench.sizes.connections),
            }
        )
        with place.here():
            expect("events", count("event"), side.events)
            people = bench.sizes.connections
            started = count("journey")
            if not 1 <= started <= people:
                raise WrongResult(f"{started} journeys of {people} people")
            ((deadlocks,),) = rows(
                "SELECT deadlocks FROM pg_stat_database "
                "WHERE datname = current_database()"
            )
            expect("deadlocks", deadlocks, 0)


def batch_ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="http.batches",
            title="batches of 100 over HTTP / the same events and SQL without HTTP",
            num="http.batches",
            den="direct.batches",
            target=0.8,
        )
    ]


def run_batches(bench: Bench) -> None:
    """Time batches through the web workers, and in as many processes without them."""
    people = min(bench.sizes.people, PEOPLE)
    with bench.places("batches", "direct") as (place, direct), ExitStack() as stack:
        for each in (place, direct):
            _fill(each, people)
        side = Side(bench, place, stack.enter_context(web(place)), people)
        crew = stack.enter_context(Crew(bench, direct, people=people))
        side.batches()
        bench.interleaved({"http.batches": side.batches, "direct.batches": crew.sample})
        side.check()
        crew.check()


def _fill(place: Place, people: int) -> None:
    with place.here():
        add_rule(open_shop(), "Cart", ENTERS)
        add_people(people)


class Side:
    """One server with its database, and what it acknowledged."""

    def __init__(
        self,
        bench: Bench,
        place: Place,
        server: tuple[int, int],
        people: int,
        **differs: Any,
    ) -> None:
        """Name the server as (port, pid), and what of the Spec is unlike the usual."""
        port, self._pid = server
        self.events = self.entering = self._runs = 0
        self._bench = bench
        self._place = place
        usual = Spec(
            port=port,
            key=KEY,
            name="load",
            connections=bench.sizes.connections,
            seconds=bench.sizes.load_s,
            people=people,
            enters=ENTERS,
            passes=PASSES,
            share=SHARE,
        )
        self._spec = replace(usual, **differs)

    def warm_up(self) -> None:
        """Let every worker connect, compile the rules and plan its statements."""
        self._load(replace(self._spec, seconds=WARM_S))

    def sample(self, *, people: int | None = None) -> Sample:
        """Load with all connections."""
        return self._load(replace(self._spec, people=people or self._spec.people))

    def one_client(self) -> Sample:
        """Load with one connection."""
        return self._load(replace(self._spec, connections=1))

    def batches(self) -> Sample:
        """Load with batches of a hundred."""
        connections = min(BATCH_CONNECTIONS, self._spec.connections)
        return self._load(replace(self._spec, connections=connections, events=BATCH))

    def check(self) -> None:
        """Raise WrongResult unless the tables hold exactly what was acknowledged."""
        with self._place.here():
            expect("events", count("event"), self.events)
            expect("journeys", count("journey"), self.entering)
            expect("timers", count("timer"), self.entering)

    def _load(self, spec: Spec) -> Sample:
        self._runs += 1
        named = replace(spec, name=f"load{self._runs}", seed=self._runs)
        with self._bench.meter.watching(self._pid):
            sample, told = load(named, self._bench.meter)
        self.events += told.events
        self.entering += told.entering
        return sample
