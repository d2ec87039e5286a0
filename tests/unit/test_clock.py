"""The database's time between its answers: never ahead of it, and hardly behind."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from campaigns.deciding import clock
from campaigns.deciding.clock import Reckoning

START = datetime(2026, 3, 1, tzinfo=UTC)
EXACT = timedelta(microseconds=1)  # floats of seconds since 1970


class Times:
    """A host's steady clock and the database's, which go equally fast."""

    def __init__(self):
        self.steady = 5000.0
        self.ahead = timedelta()
        self.reckoning = Reckoning(lambda: self.steady)

    @property
    def true(self):
        return START + timedelta(seconds=self.steady) + self.ahead

    def tell(self, delay_s):
        """Let the database say the time, which is read after `delay_s`."""
        asked, told = self.steady, self.true
        self.steady += delay_s
        self.reckoning.note(told, asked)


def test_nothing_is_known_before_the_first_answer_and_long_after_the_last():
    times = Times()
    assert times.reckoning.now() is None
    times.tell(0.001)
    times.steady += 1.9
    assert times.reckoning.now() is not None
    times.steady += 0.2
    assert times.reckoning.now() is None


STEPS = st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 0.05)), min_size=1)


@given(STEPS)
def test_it_is_behind_by_the_shortest_delay_at_most(steps):
    times = Times()
    last = None
    for pause, delay in steps:
        times.steady += pause
        times.tell(delay)
        now = times.reckoning.now()
        assert times.true - timedelta(seconds=delay) - EXACT <= now
        assert now <= times.true + EXACT
        last = now if last is None else max(last, now)
    times.steady += 0.5
    assert times.reckoning.now() > last


def test_a_slow_answer_does_not_spoil_what_a_quick_one_said():
    times = Times()
    times.tell(0.001)
    times.tell(0.4)
    assert times.true - times.reckoning.now() <= timedelta(seconds=0.0011)


def test_an_answer_that_was_read_late_says_nothing():
    """The process was stopped before it read it, or waited for a lock beside it."""
    times = Times()
    times.tell(3)
    assert times.reckoning.now() is None
    times.tell(0.001)
    times.steady += 1.5
    times.tell(3)
    assert times.reckoning.now() is None


def test_a_clock_that_was_put_on_is_followed_at_once_and_one_put_back_soon():
    times = Times()
    times.tell(0)
    times.ahead = timedelta(minutes=5)
    times.tell(0)
    assert abs(times.reckoning.now() - times.true) <= EXACT
    times.ahead = timedelta()
    for _ in range(3):
        times.steady += 1.0
        times.tell(0)
    assert abs(times.reckoning.now() - times.true) <= EXACT


def test_a_test_s_clock_is_asked_itself():
    class At:
        def now(self):
            return START

    with clock.use(At()):
        assert clock.reckoned() == START
