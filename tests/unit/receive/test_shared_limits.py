"""The shared limiter on a cache in this process, and on caches that misbehave."""

import pytest
from django.core.cache import caches

from campaigns.receive import shared_limits
from campaigns.receive.buckets import MAX_WAIT_S
from campaigns.receive.shared_limits import EXACTLY, QUIET_S, REST_S, SharedLimiter

OWN = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


class Clock:
    """A monotonic clock in seconds, and the time of day in microseconds."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now

    def us(self):
        return int((self.now + 1_700_000_000) * 1_000_000)


class Hung:
    """A cache of which each call fails, and which counts them."""

    def __init__(self):
        self.asked = 0

    def get_many(self, _keys):
        self.asked += 1
        raise TimeoutError("hung")


@pytest.fixture
def cache(settings):
    settings.CACHES = {"default": OWN, "shared": {**OWN, "LOCATION": "shared"}}
    yield caches["shared"]
    caches["shared"].clear()


@pytest.fixture
def clock():
    return Clock()


def limiter(clock):
    return SharedLimiter(clock_us=clock.us, monotonic=clock)


def test_two_workers_share_a_minutes_worth(cache, clock):
    workers = [limiter(clock), limiter(clock)]
    for n in range(60):
        assert workers[n % 2].take([("a", 1)], per_minute=60) == 0
    assert [w.take([("a", 1)], per_minute=60) for w in workers] == [1, 1]
    assert workers[0].take([("b", 1)], per_minute=60) == 0
    clock.now += 1
    assert workers[0].take([("a", 1)], per_minute=60) == 0
    assert workers[1].wait_s(["a"], per_minute=60) == 1


def test_a_big_batch_passes_and_is_paid_for_by_waiting(cache, clock):
    assert limiter(clock).take([("a", 100)], per_minute=60) == 0
    assert limiter(clock).wait_s(["a"], per_minute=60) == 41
    clock.now += 41
    assert limiter(clock).wait_s(["a"], per_minute=60) == 0


def test_nothing_is_taken_unless_all_of_it_is(cache, clock):
    one = limiter(clock)
    assert one.take([("person", 60)], per_minute=60) == 0
    assert one.take([("address", 60), ("person", 1)], per_minute=60) == 1
    assert one.take([("address", 60)], per_minute=60) == 0


def test_each_of_many_customers_is_charged(cache, clock):
    people = [(f"p{n}", 60) for n in range(EXACTLY + 5)]
    assert limiter(clock).take(people, per_minute=60) == 0
    waits = [limiter(clock).wait_s([key], per_minute=60) for key, _ in people]
    assert waits == [1] * len(people)


def test_no_wait_is_longer_than_its_bound(cache, clock):
    limiter(clock).take([("a", 2500)], per_minute=1)
    assert limiter(clock).wait_s(["a"], per_minute=1) == MAX_WAIT_S


@pytest.mark.parametrize("forged", [None, "text", 10**30, -1, 1.5, [1]], ids=repr)
def test_what_cannot_be_a_number_of_ours_counts_for_nothing(cache, clock, forged):
    name = shared_limits._name("a")
    cache.set(name, forged)
    assert limiter(clock).take([("a", 60)], per_minute=60) == 0
    assert limiter(clock).take([("a", 1)], per_minute=60) == 1


def test_an_idle_bucket_holds_no_more_than_a_minutes_worth(cache, clock):
    assert limiter(clock).take([("a", 1)], per_minute=60) == 0
    clock.now += 3600
    assert limiter(clock).take([("a", 60)], per_minute=60) == 0
    assert limiter(clock).take([("a", 1)], per_minute=60) == 1


def test_no_customers_id_is_in_a_name_and_each_name_is_fit_for_a_cache():
    for key in ("1/customer/ada@example.com", "x" * 5000, "a b\n\ud800"):
        name = shared_limits._name(key)
        assert name.removeprefix("rate-").isalnum()
        assert len(name) == 37


def test_a_cache_that_fails_is_left_alone_for_a_while_and_told_once_a_minute(
    cache, clock, monkeypatch, caplog
):
    hung, one = Hung(), limiter(clock)
    monkeypatch.setattr(shared_limits, "caches", {"shared": hung})
    for _ in range(60):
        assert one.take([("a", 1)], per_minute=60) == 0
    assert one.take([("a", 1)], per_minute=60) == 1  # as a worker by itself counts
    assert one.wait_s(["b"], per_minute=60) == 0
    assert (hung.asked, caplog.text.count("the cache fails")) == (1, 1)
    clock.now += REST_S
    one.wait_s(["a"], per_minute=60)
    assert (hung.asked, caplog.text.count("the cache fails")) == (2, 1)
    clock.now += QUIET_S
    one.wait_s(["a"], per_minute=60)
    assert (hung.asked, caplog.text.count("the cache fails")) == (3, 2)


def test_without_a_shared_cache_a_worker_counts_by_itself(settings, clock):
    assert "shared" not in settings.CACHES
    one, other = limiter(clock), limiter(clock)
    assert one.take([("a", 60)], per_minute=60) == 0
    assert one.take([("a", 1)], per_minute=60) == 1
    assert other.take([("a", 1)], per_minute=60) == 0
