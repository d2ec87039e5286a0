"""A public key's clients may report so much and no more."""

from campaigns.receive.buckets import MAX_BUCKETS, MAX_WAIT_S, Limiter


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def test_a_minutes_worth_is_taken_at_once_then_it_waits_and_refills():
    clock = Clock()
    limiter = Limiter(clock=clock)
    for _ in range(60):
        assert limiter.take([("a", 1)], per_minute=60) == 0
    assert limiter.take([("a", 1)], per_minute=60) == 1
    clock.now += 1
    assert limiter.take([("a", 1)], per_minute=60) == 0
    assert limiter.take([("b", 1)], per_minute=60) == 0


def test_a_big_batch_passes_and_is_paid_for_by_waiting():
    clock = Clock()
    limiter = Limiter(clock=clock)
    assert limiter.take([("a", 100)], per_minute=60) == 0
    assert limiter.wait_s(["a"], per_minute=60) == 41
    clock.now += 41
    assert limiter.wait_s(["a"], per_minute=60) == 0


def test_nothing_is_taken_unless_all_of_it_is():
    limiter = Limiter(clock=Clock())
    assert limiter.take([("person", 60)], per_minute=60) == 0
    assert limiter.take([("address", 60), ("person", 1)], per_minute=60) == 1
    assert limiter.take([("address", 60)], per_minute=60) == 0


def test_no_wait_is_longer_than_its_bound():
    limiter = Limiter(clock=Clock())
    limiter.take([("a", 2500)], per_minute=1)
    assert limiter.wait_s(["a"], per_minute=1) == MAX_WAIT_S


def test_its_memory_is_bounded_and_a_busy_bucket_stays():
    limiter = Limiter(clock=Clock())
    limiter.take([("busy", 61)], per_minute=60)
    for number in range(MAX_BUCKETS + 100):
        limiter.take([(str(number), 1)], per_minute=60)
        if number % 1000 == 0:
            limiter.wait_s(["busy"], per_minute=60)
    assert len(limiter._buckets) <= MAX_BUCKETS
    assert limiter.wait_s(["busy"], per_minute=60) > 0
