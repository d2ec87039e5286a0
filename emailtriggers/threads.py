"""A fixed number of threads with a bounded queue before them, and what they tell."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

logger = logging.getLogger(__name__)

Job = Callable[[], None]
STOP: Final = None


class Pool:
    """Runs jobs in at most `size` threads while at most `waiting` more stand in line.

    A thread is started only when all others are busy, so that a quiet process
    holds few database connections; it then stays. Thread-safe.
    """

    def __init__(self, size: int, *, waiting: int) -> None:
        """Set the bounds; nothing is started."""
        self.size = size
        self.capacity = size + waiting
        self._open = 0
        self._closed = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Return how many jobs run or wait."""
        return self._open

    def take(self, job: Job) -> bool:
        """Queue the job, or return False: too many wait already. Never blocks."""
        with self._lock:
            if self._closed or self._open >= self.capacity:
                return False
            self._open += 1
            if len(self._threads) < min(self.size, self._open):
                self._start_thread()
        self._jobs.put(job)
        return True

    def close(self, *, patience_s: float) -> bool:
        """Finish what was taken; return False if that takes longer than `patience_s`."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(STOP)
        end = time.monotonic() + patience_s
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start_thread(self) -> None:
        name = f"web {len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not STOP:
            try:
                job()
            except Exception:
                # One job's failure must not take the thread from the others.
                logger.exception("a job failed")
            finally:
                with self._lock:
                    self._open -= 1


class Teller:
    """Tells an event loop what threads have finished: all of it at one wake.

    A wake costs a system call and a turn of the loop, whatever it brings.
    """

    def __init__(self) -> None:
        """Know nothing to tell."""
        self._lock = threading.Lock()
        self._told: list[tuple[asyncio.Future[int], int]] = []

    def tell(self, done: asyncio.Future[int], result: int) -> None:
        """Complete the future, in its loop; from any thread."""
        with self._lock:
            is_first = not self._told
            self._told.append((done, result))
        if is_first:
            done.get_loop().call_soon_threadsafe(self._pass_on)

    def _pass_on(self) -> None:
        with self._lock:
            told, self._told = self._told, []
        for done, result in told:
            if not done.done():  # cancelled, with its request
                done.set_result(result)
