"""What is struck when: a pure function of the seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Act(StrEnum):
    """What is done to a process."""

    KILL = "kill -9"
    KILL_ALL = "kill -9 of every"  # of all processes of that part at once
    STOP = "stop"  # SIGSTOP, and SIGCONT a while later
    CUT = "cut"  # its connection is ended: SIGTERM to a PostgreSQL backend
    RESTART = "restart"  # SIGINT to the postmaster: a fast shutdown


class Part(StrEnum):
    """A kind of process; there are several of most."""

    WORKER = "worker"
    MONITOR = "monitor"
    PUSHER = "pusher"
    SENTINEL = "sentinel"
    MAIN = "cluster main"
    SUPERVISOR = "supervisor"
    WEB_WORKER = "web worker"
    WEB = "web main"
    BACKEND = "PostgreSQL backend"
    POSTMASTER = "postmaster"


# How often each strike comes, relative to the others. A backend that dies of -9
# takes all connections with it, and a postmaster needs a recovery: they come
# seldom enough for work to be under way when the next one falls.
WEIGHTS: Final[Mapping[tuple[Act, Part], int]] = {
    (Act.KILL, Part.WORKER): 30,
    (Act.KILL, Part.WEB_WORKER): 16,
    (Act.KILL, Part.MONITOR): 6,
    (Act.KILL, Part.PUSHER): 6,
    (Act.KILL, Part.SENTINEL): 5,
    (Act.KILL, Part.MAIN): 5,
    (Act.KILL, Part.SUPERVISOR): 2,
    (Act.KILL, Part.WEB): 2,
    (Act.KILL, Part.BACKEND): 5,
    (Act.KILL, Part.POSTMASTER): 3,
    (Act.CUT, Part.BACKEND): 6,
    (Act.RESTART, Part.POSTMASTER): 2,
    (Act.STOP, Part.WORKER): 6,
    (Act.STOP, Part.WEB_WORKER): 3,
    (Act.STOP, Part.PUSHER): 1,
    (Act.STOP, Part.SENTINEL): 1,
    (Act.STOP, Part.MAIN): 1,
    (Act.STOP, Part.SUPERVISOR): 1,
    (Act.STOP, Part.BACKEND): 2,
    (Act.STOP, Part.POSTMASTER): 1,
}
LEAST_GAP_S: Final = 0.3
SHORTEST_STOP_S: Final = 1.0
LONGEST_STOP_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike, `at_s` seconds after the load began.

    `pick`, from 0 to 1, says which of the part's processes; `for_s` is how long a
    stop lasts, 0 for all else.
    """

    at_s: float
    act: Act
    part: Part
    pick: float
    for_s: float = 0.0


def schedule(seed: int, *, seconds: float, every_s: float) -> tuple[Strike, ...]:
    """Return the strikes of that many seconds, one each `every_s` seconds on average.

    The gaps are exponential, but never under LEAST_GAP_S, so that strikes also
    come in quick succession. A longer drill of a seed begins like a shorter one.
    """
    if every_s <= LEAST_GAP_S:
        raise ValueError(f"every_s must be over {LEAST_GAP_S}")
    dice = random.Random(seed)  # noqa: S311 - no secret depends on it
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    strikes = []
    at_s = _gap(dice, every_s)
    while at_s < seconds:
        ((act, part),) = dice.choices(kinds, weights)
        pick, length = dice.random(), dice.uniform(SHORTEST_STOP_S, LONGEST_STOP_S)
        for_s = round(length, 3) if act is Act.STOP else 0.0
        strikes.append(Strike(round(at_s, 3), act, part, round(pick, 6), for_s))
        at_s += _gap(dice, every_s)
    return tuple(strikes)


def _gap(dice: random.Random, every_s: float) -> float:
    return LEAST_GAP_S + dice.expovariate(1 / (every_s - LEAST_GAP_S))
