"""The shared limiter on a real Redis and a real Memcached."""

import pickle
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import environ
import pytest
from django.core.cache import caches as opened

from campaigns.receive import shared_limits
from campaigns.receive.shared_limits import REST_S, SharedLimiter
from emailtriggers import caching
from tests.e2e.product import free_port, wait_for

SERVERS = {
    "redis": ("redis-server", "redis://127.0.0.1:{port}/1"),
    "memcached": ("memcached", "pymemcache://127.0.0.1:{port}"),
}


class Server:
    """A cache server of the test's own."""

    def __init__(self, kind, folder: Path):
        self.kind = kind
        program, url = SERVERS[kind]
        self.path = shutil.which(program)
        if self.path is None:
            pytest.skip(f"there is no {program}")
        self.folder = folder
        self.port = free_port()
        self.url = url.format(port=self.port)
        self.process = None

    def start(self):
        at = ["--port", str(self.port)]
        if self.kind == "redis":
            words = [*at, "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        else:
            words = [*at, "--listen", "127.0.0.1", "-u", "nobody"]
        self.process = subprocess.Popen([self.path, *words], stdout=subprocess.DEVNULL)
        wait_for(self.answers, f"{self.kind} serves")

    def answers(self):
        try:
            return self.cache().set("is-there", 1) is None
        except Exception:
            return False

    def cache(self):
        return opened["shared"]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture(params=SERVERS, ids=list(SERVERS))
def server(request, tmp_path, monkeypatch, settings):
    made = Server(request.param, tmp_path)
    monkeypatch.setenv("CACHE_URL", made.url)
    settings.CACHES = caching.caches(environ.Env(), "CACHE_URL")
    made.start()
    yield made
    made.stop()
    opened["shared"].close()


def test_workers_count_together_without_a_slip(server):
    workers = [SharedLimiter() for _ in range(4)]
    admitted = []

    def work(limiter):
        for _ in range(100):
            if not limiter.take([("a", 1), ("customer", 1)], per_minute=100):
                admitted.append(1)
        opened["shared"].close()

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(w,)) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refilled = (time.monotonic() - began) * 100 / 60
    # Those who look at the same instant all see the last event's worth.
    assert 100 <= len(admitted) <= 100 + refilled + len(workers)
    assert all(w._alarmed_at < 0 for w in workers)


def test_a_bucket_that_is_full_again_is_not_kept(server):
    limiter = SharedLimiter()
    limiter.take([("a", 1)], per_minute=600)
    name = shared_limits._name("a")
    assert server.cache().get(name) > 0
    wait_for(lambda: server.cache().get(name) is None, "it expires")
    assert limiter.take([("a", 600)], per_minute=600) == 0
    assert limiter.take([("a", 1)], per_minute=600) > 0


class Bomb:
    """Shows that it was unpickled."""

    went_off = False

    def __reduce__(self):
        return (setattr, (Bomb, "went_off", True))


def test_what_a_stranger_wrote_there_is_neither_run_nor_believed(server):
    limiter = SharedLimiter()
    cache = server.cache()
    name = shared_limits._name("a")
    bomb = pickle.dumps(Bomb())
    if server.kind == "redis":
        cache._cache.get_client(write=True).set(cache.make_key(name), bomb)
    else:
        import pymemcache

        client = pymemcache.Client(("127.0.0.1", server.port))
        client.set(cache.make_key(name), bomb, noreply=False, flags=1)
        client.close()
    assert limiter.take([("a", 60)], per_minute=60) == 0
    assert limiter.take([("a", 1)], per_minute=60) == 1
    assert not Bomb.went_off


def test_a_cache_that_is_away_costs_no_time_and_is_used_again(server, caplog):
    now = [0.0]
    limiter = SharedLimiter(monotonic=lambda: now[0])
    assert limiter.take([("a", 60)], per_minute=60) == 0
    server.stop()
    for _ in range(60):
        assert limiter.take([("a", 1)], per_minute=60) == 0
    assert limiter.take([("a", 1)], per_minute=60) == 1
    assert caplog.text.count("the cache fails") == 1
    server.start()
    now[0] += REST_S + 1
    assert limiter.take([("b", 60)], per_minute=60) == 0
    assert SharedLimiter().take([("b", 1)], per_minute=60) == 1


def test_a_cache_that_hangs_is_given_up_in_time(server):
    limiter = SharedLimiter()
    assert limiter.take([("a", 1)], per_minute=60) == 0
    server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(59):
        assert limiter.take([("a", 1)], per_minute=60) == 0
    assert time.monotonic() - began < 30 * caching.TIMEOUT_S
