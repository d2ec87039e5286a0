"""Why something cannot be published, in words for marketers."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_STEP: Final = re.compile(r"^steps\[(\d+)\]\.?")
_VARIANT: Final = re.compile(r"^variants\[(\d+)\]\.?")
_WORDS: Final = {
    "trigger.events": ("When this happens", "trigger_events"),
    "trigger.sources": ("Sources", "sources"),
    "condition": ("Only if", "condition"),
    "name": ("Name", "name"),
    "cooldown.duration": ("Cooldown", "cooldown_amount"),
    "cooldown.key": ("Cooldown key", "cooldown_key"),
    "exit.events": ("Exit events", "exit_events"),
    "exit.key": ("Exit key", "exit_key"),
    "freshness": ("Freshness", "freshness_amount"),
    "holdout": ("Holdout", "holdout_percent"),
    "goal.event": ("Goal", "goal_event"),
    "goal.window": ("Goal window", "goal_amount"),
    "topic": ("Topic", "topic"),
    "sender": ("Sender", "sender"),
    "steps": ("Steps", ""),
}
_STEP_WORDS: Final = {
    "delay": ("wait", "delay_amount"),
    "wait_for.timeout": ("time-out", "delay_amount"),
    "wait_for": ("wait until", "wait_for"),
    "window.weekdays": ("weekdays", "weekdays"),
    "window.start": ("send from", "send_from"),
    "window.end": ("send until", "send_until"),
    "quiet.start": ("quiet from", "quiet_from"),
    "quiet.end": ("quiet until", "quiet_until"),
    "quiet": ("quiet hours", "quiet_from"),
    "expires_after": ("expires after", "expires_amount"),
    "variants": ("mails", "variants"),
}
_VARIANT_WORDS: Final = {
    "name": ("name", "name"),
    "condition": ("condition", "condition"),
    "weight": ("weight", "weight"),
    "template_version": ("template", "template"),
}


class PublishProblem(NamedTuple):
    """One problem: where in words ("Step 2, wait"), a sentence, the form's field.

    `field` is a field of the rule, "steps-1-delay_amount" for one of a step
    (counted from 0), "steps-1-variants-0-template" for one of a variant, or "".
    """

    where: str
    message: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class PublishRefused(Exception):
    """It cannot go live as it is; `problems` names everything to be mended."""

    def __init__(self, problems: Iterable[PublishProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(p) for p in self.problems))


class NotAllowedNow(Exception):
    """The rule's status does not allow this; the message says what would."""


def problem_of(path: str, message: str) -> PublishProblem:
    """Return a document's problem as marketers know the place that it is at."""
    place, field, rest = "", "", path
    step = _STEP.match(rest)
    words = _WORDS
    if step:
        place = f"Step {int(step[1]) + 1}"
        field, rest, words = f"steps-{step[1]}-", rest[step.end() :], _STEP_WORDS
        variant = _VARIANT.match(rest)
        if variant:
            place += f", mail {int(variant[1]) + 1}"
            field += f"variants-{variant[1]}-"
            rest, words = rest[variant.end() :], _VARIANT_WORDS
    label, column = _longest(rest, words)
    where = ", ".join(part for part in (place, label) if part)
    return PublishProblem(where, f"{message}.", field + column if column else "")


def _longest(path: str, words: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Return the words of the longest known beginning of a path."""
    for known in sorted(words, key=len, reverse=True):
        if path == known or path.startswith((f"{known}.", f"{known}[", f"{known}/")):
            label, field = words[known]
            return label + _part(path[len(known) :]), field
    return path, ""


def _part(rest: str) -> str:
    """Return which part of a condition or list is meant, counted from 1."""
    numbers = re.findall(r"\[(\d+)\]|/(\d+)", rest)
    if not numbers:
        return ""
    return " (part " + ".".join(str(int(a or b) + 1) for a, b in numbers) + ")"
