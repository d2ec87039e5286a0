"""The events that nobody has taken yet, in a file, so that a crash forgets none."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.sendgrid_simulator.store import DataFolderInvalid

KEPT_LINES: Final = 5_000  # the file is written anew when it has that many
KEPT_EVENTS: Final = 100_000  # what waits beyond that is kept in memory only


@dataclass(frozen=True, slots=True)
class Kept:
    """One event to post; `at` is when it happened, in seconds since 1970."""

    n: int
    at: float
    event: dict[str, object]


class Journal:
    """A line for each event, and one for those that were taken.

    Each line is in the file when its method returns, so it survives the process,
    not a power cut. Safe among threads. Without a path nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        """Read what an earlier process left. Raises DataFolderInvalid."""
        self._path = path
        self._lock = threading.Lock()
        self._waiting: dict[int, Kept] = {}
        self._n = 0
        self._lines = 0
        self._file: int | None = None
        if path is not None:
            if path.exists():
                self._load(path)
            self._rewrite(path)

    def waiting(self) -> list[Kept]:
        """Return what is not taken yet, oldest first."""
        with self._lock:
            return list(self._waiting.values())

    def add(self, events: Sequence[dict[str, object]], *, at: float) -> list[Kept]:
        """Keep events."""
        with self._lock:
            kept = []
            for event in events:
                self._n += 1
                kept.append(Kept(self._n, at, event))
            if self._path is not None and len(self._waiting) < KEPT_EVENTS:
                self._waiting |= {each.n: each for each in kept}
                self._write([_line(each) for each in kept])
            return kept

    def done(self, kept: Sequence[Kept]) -> None:
        """Forget events that were taken, or given up."""
        with self._lock:
            known = [each.n for each in kept if self._waiting.pop(each.n, None)]
            if known:
                self._write([json.dumps({"done": known})])

    def close(self) -> None:
        """Close the file; nothing is lost."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _write(self, lines: list[str]) -> None:
        if self._path is None:
            return
        self._lines += len(lines)
        if self._lines > max(KEPT_LINES, 2 * len(self._waiting)):
            self._rewrite(self._path)
        elif self._file is not None:
            _write_all(self._file, "\n".join([*lines, ""]).encode())

    def _rewrite(self, path: Path) -> None:
        """Put a file of what waits in the place of the old one."""
        fresh = path.with_name(path.name + ".new")
        lines = [_line(each) for each in self._waiting.values()]
        fresh.write_text("\n".join([*lines, ""]) if lines else "", "utf-8")
        fresh.replace(path)
        if self._file is not None:
            os.close(self._file)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._lines = len(lines)

    def _load(self, path: Path) -> None:
        # What follows the last line's end was cut by a crash, and never promised.
        for number, line in enumerate(path.read_text("utf-8").split("\n")[:-1], 1):
            try:
                self._replay(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                what = f"{path}, line {number}, is not the simulator's own"
                raise DataFolderInvalid(f"{what}; move the file away") from error

    def _replay(self, entry: dict[str, object]) -> None:
        match entry:
            case {"n": int(n), "at": float(at), "event": dict(event)}:
                self._waiting[n] = Kept(n, at, event)
                self._n = max(self._n, n)
            case {"done": list(taken)}:
                for n in taken:
                    self._waiting.pop(n, None)
            case _:
                raise ValueError(entry)


def _line(kept: Kept) -> str:
    return json.dumps({"n": kept.n, "at": kept.at, "event": kept.event})


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
