"""Hand claimed mails over: prepare, gate, POST in parallel, settle what was answered."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from django.conf import settings

from campaigns.deciding.clock import steady_s
from campaigns.deciding.outage import AWAY
from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.metrics import counted
from campaigns.sending.claim import Claim, claim, give_back
from campaigns.sending.gate import Begun, begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import Answered, settle_all

logger = logging.getLogger(__name__)

FROZEN_S: Final = 5.0
FIRST_PART: Final = 4  # of the threads gets mails before the rest are rendered
READY_S: Final = 0.1
MOST_READY: Final = 100
GATHER_S: Final = 0.02
SETTLED_AT_ONCE: Final = 200

_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


class Flight:
    """The mails that this process is handing over.

    One thread decides and writes; CLUSTER_THREADS others only POST. `sending` is
    committed for each before its POST begins, and as each is answered its thread
    takes another: nobody waits for the slowest of a batch. Each decision costs the
    same few round trips, so mails are begun, and answers settled, many at once.
    """

    def __init__(self) -> None:
        self._answers: SimpleQueue[Answered] = SimpleQueue()
        self._out = 0  # handed over and not settled
        self._under_way = False  # whether a first part was handed over
        self._slowest_s = READY_S

    def send_due(self) -> int:
        """Settle what was answered, and fill the free threads with mails that are due.

        Returns how many mails moved; never waits for an answer.
        """
        settled = self._settle()
        room = self._room()
        claims = claim(limit=room, idle=not self._out) if room else []
        if claims:
            self.hand_over(claims)
        return settled + len(claims)

    def hand_over(self, claims: Sequence[Claim]) -> None:
        """Gate these claims, and begin to POST what may go.

        A database that fails meanwhile says nothing against the mails: their claims
        are given back, if it lets us, and not counted as attempts.
        """
        try:
            begun = _begun(claims)
        except AWAY:
            with suppress(*AWAY):
                give_back(claims)
            raise
        started = steady_s()
        self._under_way = True
        self._out += len(begun)
        for each in begun:
            _pool().submit(self._post, each, started)

    def wait(self, limit_s: float) -> bool:
        """Settle the next answers, waiting for at most that long; False if none can come."""
        if not self._out:
            return False
        self._settle(limit_s=limit_s)
        return True

    def land(self) -> None:
        """Wait for all answers, and settle them."""
        while self._out:
            self._settle(limit_s=None)

    def _unanswered(self) -> int:
        return self._out - self._answers.qsize()

    def _room(self) -> int:
        """Return how many mails to claim, 0 if it is too early for that.

        The first are few: they are under way while the others are rendered. Then as
        many lie ready as the threads take in READY_S, so that none of them waits for
        the next decision. A slow provider gets none beyond its threads: they would
        wait for longer than their lease allows. Single mails are not fetched.
        """
        threads = settings.CLUSTER_THREADS
        if not self._under_way:
            return max(1, threads // FIRST_PART)
        ready = min(MOST_READY, int(threads * READY_S / self._slowest_s))
        unanswered = self._unanswered()
        room = threads + ready - unanswered
        worth_it = max(ready // 2, threads // 8)
        return room if room > worth_it or not unanswered else 0

    def _settle(self, limit_s: float | None = 0.0) -> int:
        answered: list[Answered] = []
        try:
            answered.append(self._answers.get(timeout=limit_s, block=limit_s != 0.0))
            if limit_s != 0.0 and self._unanswered() > 0:
                time.sleep(GATHER_S)  # others are about to come
            while len(answered) < SETTLED_AT_ONCE:
                answered.append(self._answers.get_nowait())
        except Empty:
            pass
        if answered:
            self._out -= len(answered)
            settle_all(answered)
        return len(answered)

    def _post(self, begun: Begun, started: float) -> None:
        before = steady_s()
        answer = _answer(begun, started)
        took = steady_s() - before
        counted.CALLS.labels(str(begun.provider)).observe(took)
        counted.ANSWERS.labels(str(begun.provider), _word(answer)).inc()
        self._slowest_s = max(took, self._slowest_s * 0.9)
        self._answers.put(Answered(begun.customer, begun.mail, begun.token, answer))


def send(claims: Sequence[Claim]) -> None:
    """Gate these claims, hand over what may go, and settle every answer."""
    flight = Flight()
    flight.hand_over(claims)
    flight.land()


def _begun(claims: Sequence[Claim]) -> list[Begun]:
    prepared = prepare(claims)
    return begin([claim for claim in claims if claim.id in prepared], prepared)


def _word(answer: Answer) -> str:
    """Return the answer's kind: accepted, ambiguous, or the refusal."""
    if isinstance(answer, Refused):
        return f"refused_{answer.refusal}"
    return "accepted" if isinstance(answer, Accepted) else "ambiguous"


def _answer(begun: Begun, started: float) -> Answer:
    if steady_s() - started > FROZEN_S:
        return Refused(Refusal.NOT_TRIED, "It waited for its turn for too long.")
    try:
        return begun.account.send(begun.packed, timeout_s=settings.POST_DEADLINE_S)
    except Exception as error:
        logger.exception(
            "provider raised for message %s",
            begun.mail,
            extra={"message_id": begun.mail},
        )
        return Ambiguous(f"{type(error).__name__} in the provider's client")


def _pool() -> ThreadPoolExecutor:
    """Return this process's threads; made after the fork, never before."""
    with _pools_lock:
        pid = os.getpid()
        if pid not in _pools:
            _pools.clear()
            _pools[pid] = ThreadPoolExecutor(
                settings.CLUSTER_THREADS, thread_name_prefix="sender"
            )
        return _pools[pid]
