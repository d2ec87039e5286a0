"""A lock that a process holds for its life, released by its death alone."""

import fcntl
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another process of this installation holds the lock."""


def hold(path: Path) -> IO[bytes]:
    """Take the lock and return it; keep it, for closing it releases the lock.

    Raises AlreadyRunning at once if another living process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AlreadyRunning(str(path)) from None
    return lock
