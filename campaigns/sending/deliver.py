"""Hand claimed mails over: prepare, gate, POST in parallel, settle each answer."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from django.conf import settings

from campaigns.domain.answers import Ambiguous, Answer, Refusal, Refused
from campaigns.providers.base import Provider
from campaigns.sending.accounts import connected
from campaigns.sending.claim import Claim, claim
from campaigns.sending.gate import Begun, begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle

logger = logging.getLogger(__name__)

FROZEN_S: Final = 5.0

_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def send_due() -> int:
    """Claim as many mails as can be POSTed at once, send and settle them.

    Returns how many were claimed.
    """
    claims = claim(limit=settings.CLUSTER_THREADS)
    if claims:
        send(claims)
    return len(claims)


def send(claims: Sequence[Claim]) -> None:
    """Gate these claims, hand over what may go, and settle every answer."""
    begun = begin(claims, prepare(claims))
    started = _alive_for()
    providers = connected(b.provider for b in begun)
    futures = {
        _pool().submit(_post, b, providers[b.provider], started): b for b in begun
    }
    for future in as_completed(futures):
        _settle(futures[future], future.result())


def _settle(sent: Begun, answer: Answer) -> None:
    """Write one answer; a fault of ours must not leave the others unwritten."""
    try:
        settle(sent.customer, sent.mail, sent.token, answer)
    except Exception:
        # Its lease ends, and it becomes `unknown`: never sent again on its own.
        logger.exception("message %s could not be settled", sent.mail)


def _post(begun: Begun, provider: Provider, started: float) -> Answer:
    if _alive_for() - started > FROZEN_S:
        return Refused(
            Refusal.NOT_REACHED, "The machine slept between the decision and the call."
        )
    try:
        return provider.send(begun.email, timeout_s=settings.POST_DEADLINE_S)
    except Exception as error:
        logger.exception("provider raised for message %s", begun.mail)
        return Ambiguous(f"{type(error).__name__} in the provider's client")


def _alive_for() -> float:
    """Return seconds since the boot, sleep included where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


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
