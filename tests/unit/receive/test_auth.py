"""Keys are known for about a second, and unknown ones cost no query each."""

import threading

import pytest
from django.db import OperationalError

from campaigns.domain.events import SourceRef, Trust
from campaigns.receive.auth import MAX_AGE_S, MISS_BURST, KeyRing, hash_key

SHOP = SourceRef(1, "shop", Trust.SECRET)


class Keys:
    """The keys in the database, and how often they were read."""

    def __init__(self):
        self.table = {hash_key("k1"): SHOP}
        self.reads = 0
        self.now = 1000.0

    def load(self):
        self.reads += 1
        return dict(self.table)

    def ring(self):
        return KeyRing(load=self.load, clock=lambda: self.now)


def test_a_known_key_is_read_once_a_second():
    keys = Keys()
    ring = keys.ring()
    assert [ring.find("k1") for _ in range(100)] == [SHOP] * 100
    assert keys.reads == 1
    keys.now += 1.1
    assert ring.find("k1") == SHOP
    assert keys.reads == 2


def test_a_revoked_key_is_refused_in_time():
    keys = Keys()
    ring = keys.ring()
    ring.find("k1")
    keys.table.clear()
    keys.now += MAX_AGE_S
    assert ring.find("k1") is None


def test_a_new_key_is_known_at_once():
    keys = Keys()
    ring = keys.ring()
    ring.find("k1")
    keys.table[hash_key("k2")] = SHOP
    assert ring.find("k2") == SHOP


def test_a_flood_of_unknown_keys_reads_a_bounded_number_of_times():
    keys = Keys()
    ring = keys.ring()
    for number in range(10_000):
        assert ring.find(f"guess-{number}") is None
    assert keys.reads <= MISS_BURST + 1
    keys.now += 0.5
    assert ring.find("guess") is None
    assert keys.reads <= MISS_BURST + 4


@pytest.mark.parametrize("key", ["", "x" * 501])
def test_what_cannot_be_a_key_is_not_looked_up(key):
    keys = Keys()
    assert keys.ring().find(key) is None
    assert keys.reads == 0


def test_a_key_with_a_lone_surrogate_is_just_unknown():
    assert Keys().ring().find("\ud800") is None


def test_without_the_database_a_key_is_not_called_unknown():
    keys = Keys()
    ring = keys.ring()

    def away():
        raise OperationalError("connection refused")

    ring.load = away
    for key in ("k1", "other"):
        with pytest.raises(OperationalError):
            ring.find(key)


def test_while_one_thread_reads_the_others_go_on():
    keys = Keys()
    ring = keys.ring()
    ring.find("k1")
    keys.now += 1.5
    reading, go_on = threading.Event(), threading.Event()

    def slow():
        reading.set()
        assert go_on.wait(10)
        return dict(keys.table)

    ring.load = slow
    reader = threading.Thread(target=ring.find, args=("k1",))
    reader.start()
    assert reading.wait(10)
    assert ring.find("k1") == SHOP
    go_on.set()
    reader.join(10)
    assert not reader.is_alive()
