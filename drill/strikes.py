"""Strikes at processes, as the schedule says, and what came of them."""

import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import psutil

from drill.schedule import Act, Part, Strike
from drill.site import Site

LOOK_S: Final = 0.1
# Then a postmaster that was told to stop is killed, as by whoever manages services. One
# that was told so in its recovery was seen to hang: PostgreSQL 18.4, for two minutes.
INSIST_S: Final = 20.0
SIGNALS: Final = {
    Act.KILL: signal.SIGKILL,
    Act.KILL_ALL: signal.SIGKILL,
    Act.STOP: signal.SIGSTOP,
    Act.CUT: signal.SIGTERM,
    Act.RESTART: signal.SIGINT,
}
KILLS: Final = (Act.KILL, Act.KILL_ALL)


@dataclass(slots=True)
class Struck:
    """How often each part was struck, and strikes that found nobody."""

    done: Counter[tuple[Act, Part]] = field(default_factory=Counter)
    missed: int = 0
    insisted: int = 0  # postmasters that did not stop when they were told to
    second_host_restarts: int = 0

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(n for (act, _), n in self.done.items() if act in KILLS)


class Strikes:
    """Carries a schedule out; stops end by themselves, and all do at the end."""

    def __init__(self, site: Site, strikes: Sequence[Strike]) -> None:
        self.struck = Struck()
        self._site = site
        self._coming = list(reversed(strikes))
        self._stopped: list[tuple[float, psutil.Process]] = []
        self._ending: list[tuple[float, psutil.Process]] = []

    def look(self, at_s: float) -> None:
        """Do what is due `at_s` seconds after the load began."""
        self.struck.second_host_restarts += self._site.look()
        self._resume(at_s)
        self._insist(at_s)
        while self._coming and self._coming[-1].at_s <= at_s:
            self._strike(self._coming.pop(), at_s)

    def end(self) -> None:
        """Let go on whoever is stopped."""
        self._resume(float("inf"))

    def run(self, *, seconds: float, began: float) -> None:
        """Strike until so many seconds after `began` (monotonic)."""
        try:
            while (at_s := time.monotonic() - began) < seconds:
                self.look(at_s)
                time.sleep(LOOK_S)
        finally:
            self.end()

    def _strike(self, strike: Strike, at_s: float) -> None:
        found = self._site.parts(strike.part)
        if not found:
            self.struck.missed += 1
            return
        if strike.act is not Act.KILL_ALL:
            found = [found[int(strike.pick * len(found))]]
        for victim in found:
            self._hit(victim, strike, at_s)

    def _hit(self, victim: psutil.Process, strike: Strike, at_s: float) -> None:
        try:
            victim.send_signal(SIGNALS[strike.act])
        except psutil.NoSuchProcess:
            self.struck.missed += 1
            return
        self.struck.done[(strike.act, strike.part)] += 1
        if strike.act is Act.STOP:
            self._stopped.append((at_s + strike.for_s, victim))
        if strike.act is Act.RESTART:
            self._ending.append((at_s + INSIST_S, victim))

    def _insist(self, at_s: float) -> None:
        for end, process in self._ending:
            if end <= at_s and process.is_running():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                    self.struck.insisted += 1
        self._ending = [each for each in self._ending if each[0] > at_s]

    def _resume(self, at_s: float) -> None:
        for end, process in self._stopped:
            if end <= at_s:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        self._stopped = [each for each in self._stopped if each[0] > at_s]
