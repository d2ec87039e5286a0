"""Child processes in groups of their own, which never outlive their parent for long."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

PR_SET_PDEATHSIG: Final = 1
QUICK_DEATH_S: Final = 10.0
LONGEST_PAUSE_S: Final = 10.0

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent(signum: int) -> Callable[[], None]:
    """Return what a child runs before exec, to get `signum` when its parent dies.

    Only Linux can; elsewhere the next start ends the orphans.
    """
    parent = os.getpid()

    def arm() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signum)
            if os.getppid() != parent:  # it died before we asked
                os.kill(os.getpid(), signum)

    return arm


class Child:
    """One command, started in a session of its own, restarted at wish.

    Signals for the command go to its main process alone; SIGKILL to its group.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        """Name the command and its working folder; nothing is started."""
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.folder = folder
        self.restarts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._pause_s = 0.0
        self._again_at = 0.0

    @property
    def pid(self) -> int | None:
        """Return the main process's id, None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the command."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own commands
            self.command,
            env={**os.environ, **self.environment},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),
        )

    def has_exited(self) -> bool:
        """Return whether the main process is gone (or was never started).

        Does not reap it: until then its id, and so its group's, is not reused.
        """
        if self._process is None or self._process.returncode is not None:
            return True
        found = os.waitid(
            os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        )
        return found is not None

    def terminate(self) -> None:
        """Ask the main process, and only it, to stop in good order."""
        if self._process is not None and not self.has_exited():
            self._process.send_signal(signal.SIGTERM)

    def kill_group(self) -> int | None:
        """Kill whatever lives of the group, reap the main process; return its code."""
        if self._process is None or self._process.returncode is not None:
            return None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def restart_when_dead(self) -> int | None:
        """Start again if the main process is gone; return its exit code, else None.

        Something that keeps dying young is started after growing pauses.
        """
        now = time.monotonic()
        if self._again_at:
            if now >= self._again_at:
                self._again_at = 0.0
                self.start()
            return None
        if not self.has_exited():
            return None
        code = self.kill_group()
        young = now - self._started < QUICK_DEATH_S
        self._pause_s = min(max(0.5, self._pause_s * 2), LONGEST_PAUSE_S) * young
        self._again_at = now + self._pause_s
        self.restarts += 1
        return code if code is not None else 0


def stop_all(
    children: Sequence[Child], *, grace_s: float, hurry: Callable[[], bool]
) -> None:
    """Ask all to stop, wait, kill the groups of those that are still there.

    `hurry` says that the operator asked a second time.
    """
    for child in children:
        child.terminate()
    end = time.monotonic() + grace_s
    while time.monotonic() < end and not hurry():
        if all(child.has_exited() for child in children):
            break
        time.sleep(0.05)
    for child in children:
        child.kill_group()


def kill_orphans(mark: str, value: str) -> int:
    """Kill what an earlier, killed parent left: processes with mark=value set.

    The caller holds the lock that goes with the mark, so that none of them can
    belong to a living parent. Returns how many there were.
    """
    orphans = [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _carries(process, mark, value)
    ]
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=5)
    return len(orphans)


def _carries(process: psutil.Process, mark: str, value: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(mark) == value
    except (psutil.Error, OSError):
        return False  # gone, or another user's
