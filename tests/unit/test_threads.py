"""The pool's bounds, with threads of its own."""

import asyncio
import threading

import pytest

from emailtriggers.threads import Pool, Teller

PATIENCE_S = 20


class Blocking:
    """Jobs that wait until they may end, and note which thread they had."""

    def __init__(self):
        self.may_end = threading.Event()
        self.began = threading.Semaphore(0)
        self.threads = []

    def __call__(self):
        self.threads.append(threading.current_thread())
        self.began.release()
        assert self.may_end.wait(PATIENCE_S)

    def wait_until_running(self, count):
        for _ in range(count):
            assert self.began.acquire(timeout=PATIENCE_S)


@pytest.fixture
def blocking():
    jobs = Blocking()
    yield jobs
    jobs.may_end.set()


def test_what_exceeds_threads_and_queue_is_refused(blocking):
    pool = Pool(2, waiting=3)
    assert [pool.take(blocking) for _ in range(6)] == [True] * 5 + [False]
    blocking.wait_until_running(2)
    assert len(blocking.threads) == 2
    blocking.may_end.set()
    blocking.wait_until_running(3)
    assert pool.close(patience_s=PATIENCE_S)
    assert len(blocking.threads) == 5


def test_room_is_made_by_each_job_that_ends(blocking):
    pool = Pool(1, waiting=1)
    first = threading.Event()
    assert pool.take(first.set)
    assert first.wait(PATIENCE_S)
    took = 0
    while took < 2:  # the first one's place is free a moment after it has ended
        took += pool.take(blocking)
    assert not pool.take(blocking)


def test_one_after_the_other_needs_one_thread():
    pool = Pool(8, waiting=1)
    threads = set()
    done = threading.Semaphore(0)

    def job():
        threads.add(threading.current_thread())
        done.release()

    for n in range(50):
        while not pool.take(job):
            pass
        assert done.acquire(timeout=PATIENCE_S), n
    pool.close(patience_s=PATIENCE_S)
    assert len(threads) <= 2  # a second one if the first had not quite ended


def test_a_job_that_fails_is_logged_and_costs_no_thread(caplog):
    pool = Pool(1, waiting=2)
    after = threading.Event()

    def fails():
        raise RuntimeError("on purpose")

    assert pool.take(fails)
    assert pool.take(after.set)
    assert after.wait(PATIENCE_S)
    assert pool.close(patience_s=PATIENCE_S)
    assert "on purpose" in caplog.text


def test_closing_finishes_what_was_taken_and_takes_no_more():
    pool = Pool(2, waiting=20)
    done = []
    for n in range(20):
        assert pool.take(lambda n=n: done.append(n))
    assert pool.close(patience_s=PATIENCE_S)
    assert sorted(done) == list(range(20))
    assert not pool.take(lambda: done.append("late"))


def test_closing_does_not_wait_for_ever(blocking):
    pool = Pool(1, waiting=1)
    assert pool.take(blocking)
    blocking.wait_until_running(1)
    assert not pool.close(patience_s=0.01)


def test_what_threads_tell_reaches_the_loop_all_of_it_even_what_nobody_awaits():
    async def told_by_threads():
        loop, teller = asyncio.get_running_loop(), Teller()
        waiting = [loop.create_future() for _ in range(2000)]
        for gone in waiting[::7]:
            gone.cancel()
        threads = [
            threading.Thread(
                target=lambda part: [teller.tell(f, n) for n, f in part],
                args=[list(enumerate(waiting))[start::4]],
            )
            for start in range(4)
        ]
        for thread in threads:
            thread.start()
        results = await asyncio.wait_for(
            asyncio.gather(*waiting, return_exceptions=True), 30
        )
        for thread in threads:
            thread.join()
        return results

    results = asyncio.run(told_by_threads())
    assert [r for n, r in enumerate(results) if n % 7] == [
        n for n in range(2000) if n % 7
    ]


def test_one_wake_tells_all():
    async def told_before_the_loop_has_its_turn():
        loop, teller = asyncio.get_running_loop(), Teller()
        wakes = []
        real = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *a: wakes.append(a) or real(*a)
        waiting = [loop.create_future() for _ in range(3)]
        for number, done in enumerate(waiting):
            teller.tell(done, number)
        return len(wakes), await asyncio.gather(*waiting)

    assert asyncio.run(told_before_the_loop_has_its_turn()) == (1, [0, 1, 2])
