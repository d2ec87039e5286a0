"""How a drill goes: how long, how much load, which strikes and faults."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drill.schedule import LONGEST_STOP_S, Act, Part, Strike, schedule

STRIKE_EVERY_S: Final = 2.2
SECOND: Final = "second"  # the name of the second host
Fault = Mapping[str, object]


class Sabotage(StrEnum):
    """A guard that is taken out of the product, to see the drill go red."""

    TOKEN = "token"  # noqa: S105 - settling and the gate no longer compare it
    LEASE = "lease"  # an ended lease hands back what may have been sent, too
    BEGIN = "begin"  # the call begins before `sending` is committed
    DEDUPE = "dedupe"  # the dedupe keys are not looked at
    STOP = "stop"  # the gate looks at no suppression and no exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One drill. Times are seconds, `rate` is events a second.

    `speed` divides the rules' delays (DEMO_SPEED). `lost` is the share of refusals
    whose settling is committed but whose worker, on the second host, hears only of
    a lost connection, until another worker hands the mail over. Like a sabotage it
    needs the drill's own settings.
    """

    seed: int
    seconds: float
    rate: float
    speed: int
    strikes: tuple[Strike, ...] = ()
    faults: tuple[Fault, ...] = ()
    sabotage: Sabotage | None = None
    lost: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the provider tells nothing of what it took."""
        return SILENT in self.faults

    @property
    def grace_s(self) -> float:
        """How long after a stop a mail may still arrive.

        Whoever committed `sending` before it may be held up: the call gives up 5 s
        after that commit, takes 8 s at most, and its process may be stopped.
        """
        stops = any(strike.act is Act.STOP for strike in self.strikes)
        return 14.0 + LONGEST_STOP_S if stops else 3.0


SLOW_DOWN: Final[Fault] = {"kind": "status", "status": 429, "retry_after": 1}
# What the provider does all the while. It accepts a mail and then says 500, or
# hangs up: nobody but its webhooks can tell. It says 500 or hangs up before too.
UNTRUE: Final[tuple[Fault, ...]] = (
    {"kind": "drop_after_accept", "rate": 0.03},
    {"kind": "drop_before_accept", "rate": 0.01},
    {"kind": "status", "status": 500, "rate": 0.02, "after_accept": True},
    {"kind": "status", "status": 500, "rate": 0.01},
    {**SLOW_DOWN, "rate": 0.02},
    {"kind": "nonsense", "rate": 0.01},
)
WEBHOOKS: Final[tuple[Fault, ...]] = (
    {"kind": "webhook_duplicate", "rate": 0.3},
    {"kind": "webhook_shuffle", "rate": 0.5},
)
# A mail that the provider has reported on is not handed over again, whatever else
# failed: a second guard, and so the one taken out is seen only without webhooks.
SILENT: Final[Fault] = {"kind": "webhook_off"}
SLOW: Final[Fault] = {"kind": "delay", "rate": 0.3, "delay_ms": 400}
SLOWER: Final[Fault] = {"kind": "delay", "rate": 0.03, "delay_ms": 3000}


def full(seed: int, *, seconds: float) -> Plan:
    """Return what `make drill` does."""
    return Plan(
        seed=seed,
        seconds=seconds,
        rate=40.0,
        speed=120,
        strikes=schedule(seed, seconds=seconds, every_s=STRIKE_EVERY_S),
        faults=(SLOW, SLOWER, *UNTRUE, *WEBHOOKS),
    )


def short(seed: int) -> Plan:
    """Return the form of seconds, with nothing taken out: it must be green."""
    return Plan(
        seed=seed,
        seconds=12.0,
        rate=40.0,
        speed=600,
        strikes=_kills(seed, (Part.WORKER, Part.WEB_WORKER, Part.WORKER, Part.BACKEND)),
        faults=(
            {"kind": "delay", "delay_ms": 400},
            {**SLOW_DOWN, "rate": 0.1, "times": 15},
            *UNTRUE,
            *WEBHOOKS,
        ),
        lost=1.0,
    )


def sabotaged(seed: int, sabotage: Sabotage) -> Plan:
    """Return the form of seconds that shows what this guard is for."""
    match sabotage:
        case Sabotage.TOKEN:
            # A 429 is settled, but the worker does not hear that it is; while it
            # waits to say so again, another one is handing the mail over.
            return Plan(
                seed=seed, seconds=14.0, rate=15.0, speed=600, sabotage=sabotage,
                faults=(
                    {"kind": "delay", "delay_ms": 1200},
                    {**SLOW_DOWN, "rate": 0.5, "times": 30},
                    SILENT,
                ),
                lost=1.0,
            )  # fmt: skip
        case Sabotage.LEASE | Sabotage.BEGIN:
            # Clusters die while the provider is taking what they hand over.
            return Plan(
                seed=seed, seconds=6.0, rate=40.0, speed=600, sabotage=sabotage,
                strikes=tuple(
                    Strike(at_s, Act.KILL_ALL, Part.MAIN, 0.0) for at_s in (2.5, 4.5)
                ),
                faults=({"kind": "delay", "delay_ms": 1500}, SILENT),
            )  # fmt: skip
        case Sabotage.DEDUPE | Sabotage.STOP:
            # Clients that say all twice, and customers who unsubscribe, suffice.
            return Plan(
                seed=seed, seconds=10.0, rate=40.0, speed=600, sabotage=sabotage
            )


def _kills(seed: int, parts: tuple[Part, ...]) -> tuple[Strike, ...]:
    """Return a kill each 1.5 seconds, of these parts in turn, from second 3 on."""
    picks = schedule(seed, seconds=600.0, every_s=STRIKE_EVERY_S)
    return tuple(
        Strike(3.0 + 1.5 * place, Act.KILL, part, picks[place].pick)
        for place, part in enumerate(parts)
    )
