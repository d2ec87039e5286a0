"""Processes that stay search for cycles rarely, and still find them."""

import gc
import weakref

import pytest

from campaigns.deciding.garbage import YOUNG, collect_less


class Knot:
    """Refers to itself, so that only a search ends it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def usual_search():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_the_process_began_with_is_left_alone():
    collect_less()
    assert gc.get_freeze_count() > 0


def test_a_batch_of_values_starts_no_search_and_a_leak_does():
    collect_less()
    searches = []
    gc.callbacks.append(lambda phase, _info: searches.append(phase))
    try:
        kept = [[] for _ in range(YOUNG // 4)]
        assert searches == []
        knot = weakref.ref(Knot())
        assert knot() is not None
        kept += [[] for _ in range(2 * YOUNG)]
        assert knot() is None
    finally:
        gc.callbacks.pop()
