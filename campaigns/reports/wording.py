"""States, reasons and rules in plain words, the same on every screen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

DECISIONS: Final[Mapping[str, str]] = {
    "entered": "started the rule",
    "control": "counted in the holdout group, which gets no mail",
    "restarted": "began the wait anew",
    "source_not_allowed": "came from a source that may not start this rule",
    "too_old": "was older than the rule allows when it came",
    "condition_failed": "did not meet the rule's condition",
    "already_running": "the person is on the way through this rule already",
    "cooldown": "the rule does not repeat so soon",
    "already_exited": "an exit event had happened already",
}
MAILS: Final[Mapping[str, str]] = {
    "rule_archived": "the rule was archived",
    "rule_paused": "the rule is paused; it goes on when the rule is resumed",
    "exited": "the person had left the rule",
    "no_address": "the person has no e-mail address",
    "address_untrusted": "the address was said only by a public source",
    "suppressed": "the address is suppressed",
    "unsubscribed": "the person unsubscribed from the topic",
    "no_consent": "the topic needs a consent, and there is none",
    "frequency_cap": "the person had as many marketing mails as allowed",
    "expired": "it was too late to be of use",
    "outside_window": "outside the hours in which it may be sent",
    "condition_failed": "the condition no longer held",
    "template_error": "the template could not be rendered for this person",
    "payload_invalid": "the mail would not be accepted by the provider",
    "context_moved": "the person's facts changed while it was made",
    "cancelled": "the journey was cancelled",
    "merged": "the person was merged with another",
    "restart": "the wait began anew",
    "restarted": "the wait began anew",
    "too_many_attempts": "every attempt failed",
    "no_answer": "nobody knows whether the provider took it",
    "not_reached": "the provider could not be reached",
    "invalid": "the provider refused the mail",
    "discarded": "somebody discarded it",
    "given_up": "somebody counted it as failed",
    "journey_over": "the journey had ended meanwhile",
}
JOURNEYS: Final[Mapping[str, str]] = {
    "rule_archived": "the rule was archived",
    "exit_event": "an exit event happened",
    "merged": "the person was merged with another",
    "control": "in the holdout group, which gets no mail",
    "completed": "all steps are done",
    "no_variant": "no mail of the step was meant for this person",
}


def time_words(value: datetime) -> str:
    """Return a time in the current zone with its name: "21 Nov 2026, 14:02:11 CET"."""
    local = timezone.localtime(value)
    return f"{local.day} {local:%b %Y, %H:%M:%S %Z}"


def in_words(words: Mapping[str, str], reason: str) -> str:
    """Return what a reason means; one without words is at least readable."""
    return words.get(reason) or reason.replace("_", " ")


def decision_words(decision: Mapping[str, Any]) -> str:
    """Return why an event did or did not start a rule, with the values seen."""
    said = in_words(DECISIONS, str(decision.get("reason", "")))
    return with_detail(said, decision.get("detail"))


def mail_words(reason: str, detail: object) -> str:
    """Return why a mail was not sent, or waits; "" without a reason."""
    return with_detail(in_words(MAILS, reason), detail) if reason else ""


def cause_words(cause: object) -> str:
    """Return why a journey ended."""
    if not isinstance(cause, Mapping):
        return ""
    rest = {k: v for k, v in cause.items() if k != "reason"}
    return with_detail(in_words(JOURNEYS, str(cause.get("reason", ""))), rest)


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
        elif name == "holds" or value in (None, "", [], {}):
            continue
        else:
            parts.append(f"{name.replace('_', ' ')} {_value(value)}")
    return "; ".join(parts)


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


def _step_sentence(step: Any) -> str:
    templates = list(dict.fromkeys(v.template.name for v in step.variants.all()))
    send = f"send {names(templates) if templates else 'nothing yet'}"
    wait = span(step.delay_amount, step.delay_unit)
    if step.wait_for:
        return f"wait for {names(step.wait_for)} at most {wait}, {send}"
    return f"wait {wait}, {send}" if step.delay_amount else f"{send} at once"
