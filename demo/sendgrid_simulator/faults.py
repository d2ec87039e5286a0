"""Faults on demand: each is a rule with a rate and, if wanted, a number of times."""

import random
from collections.abc import MutableSequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final

from demo.sendgrid_simulator.answers import RefusedRequest

KINDS: Final = (
    "status",  # answers `status` without taking the mail (after_accept: taking it)
    "delay",  # waits `delay_ms` before anything else
    "drop_before_accept",  # closes the connection, the mail not taken
    "drop_after_accept",  # closes the connection, the mail taken
    "nonsense",  # answers what is no HTTP, the mail taken
    "webhook_duplicate",  # posts events twice
    "webhook_shuffle",  # posts events in another order
    "webhook_off",  # posts nothing
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `rate` is a share from 0 to 1; `times` None means for ever."""

    kind: str
    rate: float = 1.0
    times: int | None = None
    status: int = 500
    retry_after: int | None = None
    delay_ms: int = 0
    after_accept: bool = False

    def shown(self) -> dict[str, object]:
        """Return the rule as JSON; it can be put back as it is."""
        return {name: getattr(self, name) for name in self.__slots__}


class Faults:
    """The rules in force. Safe among threads."""

    def __init__(self, *, seed: int = 0) -> None:
        self._lock = Lock()
        self._random = random.Random(seed)  # noqa: S311 - no secret depends on it
        self._rules: list[Fault] = []

    def put(self, wanted: object) -> None:
        """Set the rules from JSON: a list, or the short form (see `_short`).

        An object with `rules` may name a `seed`, from which chance begins anew.
        """
        rules, seed = _rules(wanted), _seed(wanted)
        with self._lock:
            self._rules = rules
            if seed is not None:
                self._random.seed(seed)

    def shown(self) -> list[dict[str, object]]:
        """Return the rules in force."""
        with self._lock:
            return [rule.shown() for rule in self._rules]

    def strike(self, *kinds: str) -> Fault | None:
        """Return the first rule of `kinds` that strikes now, and count it."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if rule.kind in kinds and self._random.random() < rule.rate:
                    if rule.times is not None:
                        self._rules[index] = replace(rule, times=rule.times - 1)
                    self._rules = [r for r in self._rules if r.times != 0]
                    return rule
        return None

    def shuffle(self, events: MutableSequence[Any]) -> None:
        """Bring events into any order."""
        with self._lock:
            self._random.shuffle(events)


def _seed(wanted: object) -> int | None:
    seed = wanted.get("seed") if isinstance(wanted, dict) else None
    if seed is not None and not isinstance(seed, int):
        raise RefusedRequest(400, "faults.seed: a whole number")
    return seed


def _rules(wanted: object) -> list[Fault]:
    if isinstance(wanted, dict) and "rules" in wanted:
        wanted = wanted["rules"]
    if isinstance(wanted, dict):
        wanted = _short(wanted)
    if not isinstance(wanted, list):
        raise RefusedRequest(400, "faults: a list of rules, or an object")
    return [_rule(index, rule) for index, rule in enumerate(wanted)]


def _short(wanted: dict[str, object]) -> list[object]:
    """Read {"status": {"429": 0.1}, "delay_ms": 50, "drop_after_accept": 0.2}."""
    if "kind" in wanted:
        return [wanted]
    rules: list[object] = []
    for name, value in wanted.items():
        if name == "status" and isinstance(value, dict):
            rules += [
                {"kind": "status", "status": int(code), "rate": rate}
                for code, rate in value.items()
                if str(code).isdigit()
            ]
        elif name == "delay_ms":
            rules.append({"kind": "delay", "delay_ms": value})
        elif value is not False and value is not None:
            rules.append({"kind": name, "rate": 1.0 if value is True else value})
    return rules


def _rule(index: int, rule: object) -> Fault:
    at = f"faults.{index}"
    if not isinstance(rule, dict) or rule.get("kind") not in KINDS:
        raise RefusedRequest(400, f"kind must be one of {', '.join(KINDS)}", at=at)
    unknown = set(rule) - set(Fault.__slots__)
    if unknown:
        raise RefusedRequest(400, f"unknown: {', '.join(map(str, unknown))}", at=at)
    limits = {"rate": 1, "times": 10**9, "status": 599, "retry_after": 10**6}
    for name, high in (limits | {"delay_ms": 600_000}).items():
        value = rule.get(name)
        low = 100 if name == "status" else 0
        if value is not None and not (
            isinstance(value, int | float) and low <= value <= high
        ):
            raise RefusedRequest(400, f"{name} must be {low} to {high}", at=at)
    return Fault(**{name: value for name, value in rule.items() if value is not None})
