"""States, reasons and rules in plain words, the same on every screen."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from django.utils import timezone

from campaigns.reports.codes import (
    DECISIONS,
    JOURNEYS,
    LABELS,
    MAILS,
    OUTCOMES,
    REFUSALS,
    SUPPRESSIONS,
)


def time_words(value: datetime, zone: tzinfo | None = None) -> str:
    """Return a time with its zone's name: "21 Nov 2026, 14:02:11 CET".

    The zone is the current one, the viewer's, unless another is given.
    """
    local = timezone.localtime(value, zone)
    return f"{local.day} {local:%b %Y, %H:%M:%S %Z}"


def in_words(words: Mapping[str, str], reason: str) -> str:
    """Return what a reason means; one without words is at least readable."""
    return words.get(reason) or reason.replace("_", " ")


def label(code: str) -> str:
    """Return a decision, state or reason in at most three words."""
    return in_words(LABELS, code)


def decision_words(decision: Mapping[str, Any]) -> str:
    """Return why an event did or did not start a rule, with the values seen."""
    said = in_words(DECISIONS, str(decision.get("reason", "")))
    return with_detail(said, decision.get("detail"))


def mail_words(reason: str, detail: object) -> str:
    """Return why a mail was not sent, or waits; "" without a reason."""
    if not reason and isinstance(detail, Mapping) and "refusal" in detail:
        return detail_words(detail)
    return with_detail(in_words(MAILS, reason), detail) if reason else ""


def cause_words(cause: object) -> str:
    """Return why a journey ended."""
    if not isinstance(cause, Mapping):
        return ""
    rest = {k: v for k, v in cause.items() if k != "reason"}
    said = in_words(JOURNEYS, str(cause.get("reason") or "completed"))
    return with_detail(said, rest)


def with_detail(said: str, detail: object) -> str:
    """Return a sentence's beginning with what was seen, if anything was."""
    seen = detail_words(detail)
    return f"{said}: {seen}" if said and seen else said or seen


def detail_words(detail: object) -> str:
    """Return the values that a decision kept, as far as they can be said shortly."""
    if not isinstance(detail, Mapping):
        return ""
    parts = []
    for name, value in detail.items():
        if name in ("condition", "verdict") and isinstance(value, Mapping):
            parts.extend(_leaves(value))
        elif name == "leaves" and isinstance(value, list):
            parts.extend(_leaves(detail))
        elif name in _UNSAID or value in (None, "", [], {}):
            continue
        else:
            parts.append(_said(name, value))
    return "; ".join(parts)


# Ids, which the page links, and what the sentence before says already.
_UNSAID: Final = frozenset(
    {"holds", "message", "event", "journey", "source", "topic", "step", "days"}
)
_PHRASES: Final[Mapping[str, Callable[[object], str]]] = {
    "outcome": lambda v: f"the last mail {in_words(OUTCOMES, str(v))}",
    "because": lambda v: ", ".join(in_words(SUPPRESSIONS, c) for c in _texts(v)),
    "refusal": lambda v: in_words(REFUSALS, str(v)),
    "name": lambda v: f"“{v}”",
    "occurred_at": lambda v: f"it happened at {_value(v)}",
    "limit_s": lambda v: f"the limit is {_seconds(v)}",
    "until": lambda v: f"not before {_value(v)}",
    "not_after": lambda v: f"it had to leave by {_value(v)}",
    "key": lambda v: f"for the same “{v}”",
    "trust": lambda v: "its key is public" if v == "public" else f"its key is {v}",
    "sent": lambda v: f"{v} were sent",
    "cap": lambda v: f"{v} are allowed",
    "into": lambda v: f"now customer {v}",
    "address": str,
    "problem": str,
    "attempts": lambda v: f"{v} attempts",
}


def _said(name: str, value: object) -> str:
    phrase = _PHRASES.get(name)
    return phrase(value) if phrase else f"{name.replace('_', ' ')} {_value(value)}"


def _texts(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [str(value)]


def _seconds(value: object) -> str:
    if not isinstance(value, int):
        return f"{value} s"
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if value >= length and value % length == 0:
            return span(value // length, unit)
    return span(value, "seconds")


def _leaves(verdict: Mapping[str, Any]) -> list[str]:
    leaves = verdict.get("leaves") or []
    failed = [leaf for leaf in leaves if not leaf.get("holds")] or leaves
    return [str(leaf.get("reason", "")) for leaf in failed]


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, str) and len(value) >= 19 and value[10:11] == "T":
        try:
            return time_words(datetime.fromisoformat(value))
        except ValueError:
            return value
    return str(value)


def span(amount: int, unit: str) -> str:
    """Return "1 hour", "3 days"."""
    return f"{amount} {unit[:-1] if amount == 1 else unit}"


def names(events: list[str]) -> str:
    """Return “A” or “B”."""
    return " or ".join(f"“{name}”" for name in events)


def rule_sentence(rule: Any) -> str:
    """Return what a rule does, in one line; its steps and variants are prefetched."""
    parts = [f"When {names(rule.trigger_events) or 'nothing yet'}"]
    if rule.condition:
        parts.append("if its condition holds")
    parts.extend(_step_sentence(step) for step in rule.steps.all())
    if rule.exit_events:
        parts.append(f"unless {names(rule.exit_events)} comes first")
    sentence = ", ".join(parts) + "."
    if rule.cooldown_amount:
        sentence += (
            f" Not again within {span(rule.cooldown_amount, rule.cooldown_unit)}"
        )
        sentence += f" for the same {rule.cooldown_key}." if rule.cooldown_key else "."
    return sentence


def hours_words(step: Any) -> str:
    """Return when a step's mail may leave, "" for at any time.

    For example "Mon to Fri from 09:00 to 17:00, never from 21:00 to 08:00".
    """
    parts = []
    if step.weekdays:
        parts.append(days_words(step.weekdays))
    if step.send_from or step.send_until:
        hours = f"from {step.send_from or '00:00'} to {step.send_until or '24:00'}"
        parts = [f"{parts[0]} {hours}" if parts else hours]
    if step.quiet_from and step.quiet_until:
        parts.append(f"never from {step.quiet_from} to {step.quiet_until}")
    return ", ".join(parts)


def days_words(days: Sequence[int]) -> str:
    """Return weekdays (0 is Monday) shortly: "Mon to Fri", "Tue, Sat"."""
    found = sorted(set(days))
    run = found[-1] - found[0] + 1 == len(found)
    if run and len(found) > 2:
        return f"{_DAYS[found[0]]} to {_DAYS[found[-1]]}"
    return ", ".join(_DAYS[day] for day in found)


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _step_sentence(step: Any) -> str:
    hours = hours_words(step)
    return _wait_sentence(step) + (f" ({hours}, the customer's time)" if hours else "")


def _wait_sentence(step: Any) -> str:
    templates = list(dict.fromkeys(v.template.name for v in step.variants.all()))
    send = f"send {names(templates) if templates else 'nothing yet'}"
    wait = span(step.delay_amount, step.delay_unit)
    if step.wait_for:
        return f"wait for {names(step.wait_for)} at most {wait}, {send}"
    return f"wait {wait}, {send}" if step.delay_amount else f"{send} at once"
