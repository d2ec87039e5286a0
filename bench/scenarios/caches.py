"""What a shared cache costs and saves: rate limits in it, and names looked up in it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psycopg
import redis
from django.conf import settings
from django.core.cache.backends.redis import RedisCache

from bench.bench import Bench
from bench.machine import ROOT
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, expect
from bench.ports import free_port
from bench.results import Ratio
from bench.scenarios.web import Side
from bench.servers import until, web
from bench.world import add_people, add_rule, open_shop
from campaigns.domain.events import Trust
from campaigns.models import Source, SourceKey
from campaigns.receive.auth import hash_key
from emailtriggers.caching import REDIS_OPTIONS

PROGRAM: Final = "redis-server"
PUBLIC_KEY: Final = "bench-public-key"
BATCH: Final = 100
PEOPLE: Final = 20_000
# What an ingest transaction asks in its first round trip, apart from all else there.
NAMES: Final = """
    SELECT ARRAY(SELECT (SELECT i.customer_id FROM campaigns_identity i
                         WHERE i.namespace = n.namespace AND i.value = n.value)
                 FROM unnest(%s::int[], %s::text[]) WITH ORDINALITY
                   AS n (namespace, value, place)
                 ORDER BY n.place)
"""


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="caches.rates",
            title="public key, single events: rates counted in Redis / by each worker",
            num="rates.shared",
            den="rates.own",
        ),
        Ratio(
            id="caches.names",
            title="100 customers looked up: in Redis / by the database's index",
            num="names.redis",
            den="names.database",
        ),
        Ratio(
            id="caches.name",
            title="one customer looked up: in Redis / by the database's index",
            num="name.redis",
            den="name.database",
        ),
    ]


def run(bench: Bench) -> None:
    """Time both uses with a real Redis; without the program there are no figures."""
    if shutil.which(PROGRAM) is None:
        bench.report.notes.append(f"caches: not measured, there is no {PROGRAM}")
        return
    people = min(bench.sizes.people, PEOPLE)
    with ExitStack() as stack:
        url = stack.enter_context(_redis())
        own, shared = stack.enter_context(bench.places("own", "shared"))
        sides = [
            _side(bench, stack, own, people),
            _side(bench, stack, shared, people, CACHE_URL=url),
        ]
        for side in sides:
            side.warm_up()
        bench.interleaved(
            {"rates.shared": sides[1].sample, "rates.own": sides[0].sample}
        )
        for side in sides:
            side.check()
        looked = _Names(bench, own, stack.enter_context(_opened(url)), people)
        for prefix, size in (("names", BATCH), ("name", 1)):
            bench.interleaved(
                {
                    f"{prefix}.redis": looked.by(looked.in_cache, size),
                    f"{prefix}.database": looked.by(looked.in_database, size),
                }
            )


@contextmanager
def _redis() -> Iterator[str]:
    port = free_port()
    at = ("--port", str(port), "--bind", "127.0.0.1", "--save", "")
    log = settings.VAR_DIR / "redis.log"
    url = f"redis://127.0.0.1:{port}/1"
    with log.open("ab") as written:
        process = subprocess.Popen([PROGRAM, *at], cwd=ROOT, stdout=written)
    try:
        with _opened(url) as cache:
            until(lambda: _answers(cache), "Redis serves")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _opened(url: str) -> Iterator[RedisCache]:
    cache = RedisCache(url, {"OPTIONS": dict(REDIS_OPTIONS)})
    try:
        yield cache
    finally:
        cache.close()


def _answers(cache: RedisCache) -> bool:
    try:
        cache.set("is-there", 1)
    except redis.RedisError:
        return False
    return True


def _side(
    bench: Bench, stack: ExitStack, place: Place, people: int, **environment: str
) -> Side:
    with place.here():
        shop = open_shop()
        add_rule(shop, "Cart", "Nobody reports this")
        add_people(people)
        public = Source.objects.create(name="page", trust=Trust.PUBLIC)
        SourceKey.objects.create(
            source=public, key_hash=hash_key(PUBLIC_KEY), prefix=PUBLIC_KEY[:6]
        )
    server = web(place, PUBLIC_RATE_PER_MINUTE="1000000", **environment)
    found = stack.enter_context(server)
    return Side(bench, place, found, people, key=PUBLIC_KEY, share=0.0)


class _Names:
    """People by their user ids, in the database and, copied, in the cache."""

    def __init__(
        self, bench: Bench, place: Place, cache: RedisCache, people: int
    ) -> None:
        self._bench = bench
        self._place = place
        self._cache = cache
        self._people = people
        for first in range(1, people + 1, 1_000):
            some = range(first, min(first + 1_000, people + 1))
            cache.set_many({f"u{number}": number for number in some})

    def by(
        self, look: "Callable[[psycopg.Cursor[Any], list[str]], list[int]]", size: int
    ) -> Callable[[], Sample]:
        """Return what times look-ups of `size` people each; a piece is a person."""
        rounds = max(1, self._bench.sizes.hundreds // size)

        def sample() -> Sample:
            with psycopg.connect(self._place.url, autocommit=True) as connection:
                cursor = connection.cursor(binary=True)

                def work() -> int:
                    for number in range(rounds):
                        first = number * size % (self._people - size) + 1
                        wanted = list(range(first, first + size))
                        found = look(cursor, [f"u{each}" for each in wanted])
                        expect("customers", found, wanted)
                    return rounds * size

                return self._bench.meter.timed(work)

        return sample

    def in_cache(self, _cursor: "psycopg.Cursor[Any]", names: list[str]) -> list[int]:
        """Ask Redis, in one command."""
        found = self._cache.get_many(names)
        return [found[name] for name in names]

    def in_database(self, cursor: "psycopg.Cursor[Any]", names: list[str]) -> list[int]:
        """Ask the database, in one prepared statement."""
        cursor.execute(NAMES, [[0] * len(names), names], prepare=True)
        row = cursor.fetchone()
        return list(row[0]) if row else []
