"""Ids known before the insert: blocks of a sequence, handed out by each process."""

import os
import threading
from typing import Final

from campaigns.deciding import database

BLOCK: Final = 1000  # the INCREMENT of campaigns_ids


class _Ids:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._end = 0

    def take(self) -> int:
        with self._lock:
            if self._next >= self._end:
                ((top,),) = database.run("next_ids")
                self._next, self._end = top - BLOCK + 1, top + 1
            taken = self._next
            self._next += 1
            return taken

    def forget(self) -> None:
        """Drop the block; also of a forked child, which must not use its parent's."""
        self._lock = threading.Lock()
        self._next = self._end = 0


_ids = _Ids()
os.register_at_fork(after_in_child=_ids.forget)


def new_id() -> int:
    """Return an id that no other process hands out, growing within this one."""
    return _ids.take()


def forget() -> None:
    """Drop what is left of the block; for tests that start the sequence anew."""
    _ids.forget()
