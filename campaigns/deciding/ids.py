"""Ids known before the insert: blocks of a sequence, handed out by each process."""

import os
import threading
from typing import Final

from campaigns.deciding import database

BLOCK: Final = 1000  # the INCREMENT of campaigns_ids


class _Ids:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._next = 0
        self._end = 0

    def take(self) -> int:
        with self._lock:
            owner = os.getpid()  # a forked child must not hand out its parent's block
            if self._next >= self._end or self._owner != owner:
                ((top,),) = database.run("next_ids")
                self._next, self._end, self._owner = top - BLOCK + 1, top + 1, owner
            taken = self._next
            self._next += 1
            return taken

    def forget(self) -> None:
        with self._lock:
            self._next = self._end = 0


_ids = _Ids()


def new_id() -> int:
    """Return an id that no other process hands out, growing within this one."""
    return _ids.take()


def forget() -> None:
    """Drop what is left of the block; for tests that start the sequence anew."""
    _ids.forget()
