"""Counts that outlive their process: files of this host, one for each place.

prometheus_client keeps a file for each process id, for ever; clusters replace
their workers by the hour. Here a process takes the first place that no living
one holds, and goes on with what its predecessor had counted, so that there are
never more files than there were processes at once, and nothing falls back.
"""

import fcntl
import logging
import os
from pathlib import Path
from typing import Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

PLACES: Final = 4096
# A folder for each set of buckets: raise it whenever those of a histogram change.
FORMAT: Final = "1"

logger = logging.getLogger(__name__)

_place: int | None = None
_places: Path | None = None


def folder() -> Path | None:
    """Return where this host's processes count, None if each does so by itself."""
    chosen: Path | None = settings.METRICS_DIR
    return None if chosen is None else chosen / FORMAT


def place() -> int:
    """Return this process's place; a forked child finds one of its own.

    The lock is the process's (POSIX), so it is not inherited, and death frees it.
    """
    global _place
    if _place is None:
        _place = _take()
    return _place


def _forget() -> None:
    global _place
    _place = None


# Asked for at every count, for which a system call would cost too much.
os.register_at_fork(after_in_child=_forget)


def _take() -> int:
    assert _places is not None  # noqa: S101 - `share` has seen to it
    # Never closed: that would give the place up.
    descriptor = os.open(_places, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for number in range(PLACES):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            continue
        return number
    return PLACES + os.getpid()


def share() -> None:
    """Let what is counted from now on stand in the host's files. Before any metric.

    Where nothing can be written, this process counts by itself: no reason not to work.
    """
    global _places
    kept = folder()
    if kept is None:
        return
    try:
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        (kept / "places").touch(mode=0o600)
    except OSError as error:
        logger.warning("metrics are not shared, %s: %s", kept, error.strerror)
        return
    _places = kept / "places"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(kept)
    shared = values.MultiProcessValue(process_identifier=place)  # type: ignore[no-untyped-call]
    values.ValueClass = shared


def collected(registry: CollectorRegistry) -> list[Metric]:
    """Return what all processes of this host have counted."""
    if _places is None:
        return list(registry.collect())
    # A file that was just made is still empty.
    made = sorted(_places.parent.glob("*.db"))
    files = [str(p) for p in made if p.stat().st_size]
    return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]
