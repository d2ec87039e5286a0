"""What a well-formed rule document may still have wrong: its parts do not fit."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from campaigns.domain.condition_tree import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Not,
)
from campaigns.domain.document_parts import (
    Document,
    Quiet,
    Step,
    Variant,
    Window,
)
from campaigns.domain.durations import Duration, elapsed
from campaigns.domain.problems import Problem
from campaigns.domain.week import open_intervals

Found = Iterator[Problem]
MAX_WAIT: Final = timedelta(days=366)
MAX_COOLDOWN: Final = timedelta(days=3660)


def check_document(doc: Document) -> Found:
    """Find every part that contradicts another or passes a bound."""
    checks: tuple[Callable[[Document], Found], ...] = (
        _kind, _trigger, _texts, _lengths, _exit, _entry,
    )  # fmt: skip
    for check in checks:
        yield from check(doc)
    for number, step in enumerate(doc.steps):
        yield from _step(step, f"steps[{number}]")


def _kind(doc: Document) -> Found:
    if doc.kind == "marketing" and doc.topic is None:
        yield Problem("topic", "is missing: marketing mail needs a topic")
    elif doc.topic is None and doc.topic_opt_in:
        yield Problem("topic_opt_in", "must be false where there is no topic")
    if doc.kind == "transactional" and doc.holdout:
        yield Problem("holdout", "must be 0: transactional mail is for everybody")


def _trigger(doc: Document) -> Found:
    yield from _names(doc.trigger.events, "trigger.events")
    sources = doc.trigger.sources
    if sources is not None and len(set(sources)) < len(sources):
        yield Problem("trigger.sources", "names a source twice")


def _texts(doc: Document) -> Found:
    yield from _trimmed(doc.name, "name")
    if doc.cooldown and doc.cooldown.key:
        yield from _trimmed(doc.cooldown.key, "cooldown.key")
    if doc.goal:
        yield from _trimmed(doc.goal.event, "goal.event")


def _lengths(doc: Document) -> Found:
    if doc.cooldown:
        at = "cooldown.duration"
        yield from _length(doc.cooldown.duration, at, most=MAX_COOLDOWN)
    if doc.freshness:
        yield from _length(doc.freshness, "freshness")
    if doc.goal:
        yield from _length(doc.goal.window, "goal.window")


def _exit(doc: Document) -> Found:
    if doc.exit is None:
        return
    yield from _names(doc.exit.events, "exit.events")
    if doc.exit.key:
        yield from _trimmed(doc.exit.key, "exit.key")
    for number, name in enumerate(doc.exit.events):
        if name in doc.trigger.events:
            yield Problem(
                f"exit.events[{number}]",
                "is a trigger too: the journey would end where it starts",
            )


def _entry(doc: Document) -> Found:
    if doc.condition and _asks_for_journey(doc.condition):
        yield Problem(
            "condition",
            "asks for journey.woken_by, which only the variants of a step can know",
        )


def _asks_for_journey(condition: Condition) -> bool:
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return any(_asks_for_journey(part) for part in parts)
        case Not(part=part):
            return _asks_for_journey(part)
        case Compare(field=field):
            return field.startswith("journey.")
        case _:
            return False


def _step(step: Step, at: str) -> Found:
    yield from _length(step.delay, f"{at}.delay", least=timedelta(0))
    if step.wait_for:
        yield from _names(step.wait_for.events, f"{at}.wait_for.events")
        yield from _length(step.wait_for.timeout, f"{at}.wait_for.timeout")
        if step.delay.amount:
            message = "must be 0 in a step that waits for an event: its time-out counts"
            yield Problem(f"{at}.delay", message)
    if step.expires_after:
        yield from _length(step.expires_after, f"{at}.expires_after")
    yield from _times(step.window, step.quiet, at)
    yield from _variants(step.variants, f"{at}.variants")


def _times(window: Window | None, quiet: Quiet | None, at: str) -> Found:
    before = True
    for part, name in ((window, "window"), (quiet, "quiet")):
        if part and part.start == part.end:
            before = False
            yield Problem(
                f"{at}.{name}.end",
                "must differ from the start; 00:00 to 24:00 is the whole day",
            )
    if window and list(window.weekdays) != sorted(set(window.weekdays)):
        yield Problem(f"{at}.window.weekdays", "must be in order, none twice")
    if before and not open_intervals(window, quiet):
        yield Problem(f"{at}.quiet", "leaves no time in which a mail could be sent")


def _variants(variants: Sequence[Variant], at: str) -> Found:
    for number, variant in enumerate(variants):
        yield from _trimmed(variant.name, f"{at}[{number}].name")
    if len({variant.name for variant in variants}) < len(variants):
        yield Problem(at, "must have different names")
    regular = [variant for variant in variants if not variant.fallback]
    if not regular:
        yield Problem(at, "must have at least one that is not a fallback")
    elif not any(variant.weight for variant in regular):
        yield Problem(at, "must have a weight above 0 in at least one")
    if len(variants) - len(regular) > 1:
        yield Problem(at, "must have at most one fallback")


def _names(names: Sequence[str], at: str) -> Found:
    for number, name in enumerate(names):
        yield from _trimmed(name, f"{at}[{number}]")
        if name in names[:number]:
            yield Problem(f"{at}[{number}]", "is there twice")


def _trimmed(text: str, at: str) -> Found:
    if text != text.strip():
        yield Problem(at, "must not begin or end with a space")


def _length(
    duration: Duration,
    at: str,
    *,
    least: timedelta = timedelta(minutes=1),
    most: timedelta = MAX_WAIT,
) -> Found:
    span = elapsed(duration)
    if span < least:
        yield Problem(f"{at}.amount", "must be more than 0")
    if span > most:
        yield Problem(at, f"must be at most {most.days} days")
