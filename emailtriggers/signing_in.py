"""Signing in to the admin: failures are counted and bounded, and each try is logged.

The counts are this process's; see docs/security.md for what that means with many.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from campaigns.receive.limits import client_network

logger = logging.getLogger(__name__)

MAX_KEYS: Final = 10_000
# (how many failures, within how many seconds). Guessing from one network stops
# early; one account guessed at from many networks at ASVS's 100 an hour, with the
# two workers of a small host.
OF_NETWORK: Final = (10, 15 * 60.0)
OF_ACCOUNT: Final = (50, 60 * 60.0)

Bound = tuple[int, float]


@dataclass(slots=True)
class Tries:
    """When sign-ins were tried in vain lately, by key. Thread-safe.

    `clock` is monotonic, in seconds. The keys least lately tried are dropped.
    """

    clock: Callable[[], float] = time.monotonic
    _tried: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, bounds: dict[str, Bound]) -> bool:
        """Count one try for each key, or none and return False if one has no more."""
        now = self.clock()
        with self._lock:
            found = {key: self._lately(key, now, bounds[key][1]) for key in bounds}
            if any(len(times) >= bounds[key][0] for key, times in found.items()):
                return False
            for times in found.values():
                times.append(now)
            return True

    def give_back(self, bounds: dict[str, Bound]) -> None:
        """Take back the last try of each key: it was not in vain."""
        with self._lock:
            for key in bounds:
                if times := self._tried.get(key):
                    times.pop()

    def forget(self) -> None:
        """Count from nothing."""
        with self._lock:
            self._tried.clear()

    def _lately(self, key: str, now: float, window_s: float) -> deque[float]:
        times = self._tried.setdefault(key, deque())
        self._tried.move_to_end(key)
        while times and now - times[0] >= window_s:
            times.popleft()
        if len(self._tried) > MAX_KEYS:
            self._tried.popitem(last=False)
        return times


TRIES: Final = Tries()


class BoundedBackend(ModelBackend):
    """Django's own users and permissions; too many wrong passwords wait."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user. Raises PermissionDenied before a password is looked at."""
        if request is None:
            return super().authenticate(request, username, password, **kwargs)
        bounds = {
            f"network/{client_network(request)}": OF_NETWORK,
            f"account/{(username or '')[:150]}": OF_ACCOUNT,
        }
        if not TRIES.take(bounds):
            logger.warning("a sign-in was refused: too many failed lately")
            raise PermissionDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            logger.warning("a sign-in failed")
        else:
            TRIES.give_back(bounds)
            logger.info("user %s signed in", user.pk)
        return user
