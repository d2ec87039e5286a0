"""The readers of documents, conditions, templates and bodies, called without a site."""

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import psutil

from campaigns.domain.condition_tree import (
    ConditionInvalid,
    dump_condition,
    parse_condition,
)
from campaigns.domain.conditions import Facts, evaluate
from campaigns.domain.documents import DocumentInvalid, dump_document, parse_document
from campaigns.domain.history import PastEvent
from campaigns.domain.liquid import (
    Escaping,
    TemplateInvalid,
    compile_template,
    context_of,
    problems,
    render_liquid,
)
from campaigns.domain.provider_events import read_batch
from campaigns.domain.ruleset import Version
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import BadBody
from fuzz import grammar, payloads
from fuzz.values import garbled, odd, written

NOW: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
QUARTERS: Final = 4
SLOW_S: Final = 5.0  # of the processor
# Between the second quarter's end and the last one's: caches fill before that.
MOST_GROWTH_MB: Final = 24.0
SHOWN: Final = 10
ACCEPTED: Final = ("taken", "rendered")


@dataclass(slots=True)
class Read:
    """How often each reader took or refused its input, and what may not be.

    `slowest_s` are seconds of the processor, `took_s` those of the clock; `held_mb`
    is what this process held of memory after each quarter.
    """

    seed: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    held_mb: list[float] = field(default_factory=list)
    took_s: float = 0.0
    found: list[str] = field(default_factory=list)

    def accepted(self, name: str) -> int:
        """Return how many inputs of a reader were sound."""
        return sum(self.counts[name, how] for how in ACCEPTED)

    def refused(self, name: str) -> dict[str, int]:
        """Return how many were refused, and how."""
        return {
            how: count
            for (reader, how), count in sorted(self.counts.items())
            if reader == name and how not in ACCEPTED
        }


def run(seed: int, inputs: int) -> Read:
    """Give each reader so many inputs, all made of the seed."""
    read = Read(seed)
    began = time.monotonic()
    for quarter in range(QUARTERS):
        numbers = range(
            inputs * quarter // QUARTERS, inputs * (quarter + 1) // QUARTERS
        )
        for name, reader in READERS.items():
            for number in numbers:
                _one(read, name, reader, number)
        gc.collect()
        held = psutil.Process(os.getpid()).memory_info().rss
        read.held_mb.append(round(held / 2**20, 1))
    read.took_s = time.monotonic() - began
    before, after = read.held_mb[1], read.held_mb[-1]
    if after - before > MOST_GROWTH_MB:
        _complain(read, f"the readers' process grew from {before} to {after} MB")
    return read


def _one(read: Read, name: str, reader: Callable[[Random], str], number: int) -> None:
    rng = Random(f"{read.seed}-{name}-{number}")
    began = time.thread_time()
    try:
        how = reader(rng)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        how = "failed"
        _complain(read, f"{name}, input {number}: {error!r}")
    took_s = time.thread_time() - began
    read.counts[name, how] += 1
    read.slowest_s[name] = max(took_s, read.slowest_s.get(name, 0.0))
    if took_s > SLOW_S:
        _complain(read, f"{name}, input {number}: took {took_s:.1f} s")


def _complain(read: Read, what: str) -> None:
    if len(read.found) < SHOWN:
        read.found.append(what)


def _document(rng: Random) -> str:
    raw = grammar.document(rng)
    try:
        if rng.random() < 0.5:
            document = parse_document(raw)
        else:
            text = written(rng, raw)
            document = parse_document(
                garbled(rng, text) if rng.random() < 0.1 else text
            )
    except DocumentInvalid as invalid:
        str(invalid).encode()  # it is shown on a page
        return "refused"
    if parse_document(dump_document(document)) != document:
        raise AssertionError("a document is another one once it is written and read")
    if not Version(1, 1, document).names:
        raise AssertionError("a document that listens to nothing was taken")
    return "taken"


def _condition(rng: Random) -> str:
    try:
        condition = parse_condition(grammar.condition(rng))
    except ConditionInvalid as invalid:
        str(invalid).encode()
        return "refused"
    if parse_condition(dump_condition(condition)) != condition:
        raise AssertionError("a condition is another one once it is written and read")
    facts = Facts(
        event={
            "name": "x",
            "properties": grammar.facts(rng),
            "context": grammar.facts(rng),
        },
        customer=grammar.facts(rng),
        journey={"woken_by": odd(rng)},
        past=_Odd(rng),
    )
    evaluate(condition, facts, now=NOW).as_json()
    return "taken"


class _Odd:
    """A past of events with odd properties."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def events(
        self, name: str, since: datetime, until: datetime
    ) -> Sequence[PastEvent]:
        return [
            PastEvent(number, name, when, grammar.facts(self._rng))
            for number, when in enumerate((since, until))
        ]


def _template(rng: Random) -> str:
    source = grammar.template(rng)
    problems(source)
    try:
        compiled = compile_template(source, rng.choice(list(Escaping)))
    except TemplateInvalid:
        return "refused"
    try:
        render_liquid(compiled, _context(rng)).encode()
    except TemplateInvalid:
        return "not rendered"
    return "rendered"


def _context(rng: Random) -> dict[str, Any]:
    return context_of(
        customer=grammar.facts(rng), event_name="x", properties=grammar.facts(rng),
        context={}, occurred_at=NOW, extra={"now": NOW.isoformat()},
    )  # fmt: skip


def _webhook(rng: Random) -> str:
    body = written(rng, payloads.webhook(rng, []))
    read = read_batch(garbled(rng, body) if rng.random() < 0.3 else body)
    return "taken" if read.events else "refused"


def _call(rng: Random) -> str:
    path, made = (payloads.batch if rng.random() < 0.3 else payloads.call)(rng)
    body = written(rng, made)
    body = garbled(rng, body) if rng.random() < 0.3 else body
    try:
        parsed = segment.parse(path.split("/")[-1], body, received_at=NOW)
    except BadBody:
        return "refused"
    return "taken" if parsed.events else "no event taken"


READERS: Final[dict[str, Callable[[Random], str]]] = {
    "rule documents": _document,
    "conditions": _condition,
    "templates": _template,
    "webhooks": _webhook,
    "calls": _call,
}
