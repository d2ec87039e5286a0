"""A rule's rows as the document that publishing would make of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Prefetch

from campaigns.domain.documents import DocumentInvalid, parse_document
from campaigns.domain.problems import Problem
from campaigns.domain.states import Kind
from campaigns.journeys.refusals import PublishProblem, problem_of
from campaigns.journeys.templates import Words, template_refusals, words_of
from campaigns.models import Rule, Step, Template, Variant

ALL_WEEK = list(range(7))
_UNPUBLISHED = 1  # stands for the version that publishing will make

Json = dict[str, object]


@dataclass(frozen=True)
class Draft:
    """All that publishing a rule reads, to be compared under the lock."""

    document: Json
    templates: Mapping[int, Words]
    refusals: tuple[PublishProblem, ...]


def read_rule(rule_id: int) -> Rule:
    """Return the rule with its steps, variants and templates, in a few statements."""
    variants = Variant.objects.select_related("template")
    steps = Step.objects.prefetch_related(Prefetch("variants", queryset=variants))
    return (
        Rule.objects.select_related("topic", "sender", "sender__provider", "current")
        .prefetch_related("sources", Prefetch("steps", queryset=steps))
        .get(pk=rule_id)
    )


def read_draft(rule_id: int) -> Draft:
    """Return the rule's draft and everything that forbids publishing it."""
    rule = read_rule(rule_id)
    templates = {t.pk: t for t in templates_of(rule)}
    document = draft_document(rule, versions=dict.fromkeys(templates, _UNPUBLISHED))
    return Draft(
        document,
        {pk: words_of(t) for pk, t in templates.items()},
        tuple(_refusals(rule, document, templates)),
    )


def templates_of(rule: Rule) -> list[Template]:
    """Return the templates that the rule's variants use, each once, by id."""
    found = {
        v.template_id: v.template for s in rule.steps.all() for v in s.variants.all()
    }
    return [found[pk] for pk in sorted(found)]


def draft_document(rule: Rule, *, versions: Mapping[int, int] | None = None) -> Json:
    """Return the document of a rule's rows, which need not be valid.

    `versions` maps templates to the versions to be sent; without it each
    template's newest one, 0 (which no document may have) if it has none.
    """
    if versions is None:
        versions = {t.pk: _newest(t) for t in templates_of(rule)}
    return {
        "schema": 1,
        "rule": rule.pk,
        "version": rule.current.number + 1 if rule.current else 1,
        "name": rule.name,
        "kind": rule.kind,
        "topic": rule.topic_id,
        "topic_opt_in": bool(rule.topic and rule.topic.opt_in),
        "sender": rule.sender_id,
        "salt": rule.salt,
        "trigger": {
            "events": list(rule.trigger_events),
            "sources": sorted(s.pk for s in rule.sources.all()) or None,
            "public": rule.allow_public,
        },
        "condition": rule.condition,
        "cooldown": _keyed(
            "duration",
            _duration(rule.cooldown_amount, rule.cooldown_unit),
            rule.cooldown_key,
        ),
        "exit": _keyed("events", list(rule.exit_events), rule.exit_key),
        "retrigger": rule.retrigger,
        "freshness": _duration(rule.freshness_amount, rule.freshness_unit),
        "holdout": int(rule.holdout_percent * 100),
        "goal": {
            "event": rule.goal_event,
            "window": {"amount": rule.goal_amount, "unit": rule.goal_unit},
        }
        if rule.goal_event
        else None,
        "steps": [_step(step, versions) for step in rule.steps.all()],
    }


def _newest(template: Template) -> int:
    newest = template.versions.first()
    return newest.pk if newest else 0


def _duration(amount: int, unit: str) -> Json | None:
    """Return a length of time; 0 means none is asked for."""
    return {"amount": amount, "unit": unit} if amount else None


def _keyed(name: str, value: object, key: str) -> Json | None:
    return {name: value, "key": key or None} if value else None


def _step(step: Step, versions: Mapping[int, int]) -> Json:
    wait = {"amount": step.delay_amount, "unit": step.delay_unit}
    waits = bool(step.wait_for)
    return {
        "delay": {"amount": 0, "unit": "minutes"} if waits else wait,
        "wait_for": {"events": list(step.wait_for), "timeout": wait} if waits else None,
        "window": _window(step),
        "quiet": {"start": step.quiet_from, "end": step.quiet_until}
        if step.quiet_from or step.quiet_until
        else None,
        "variants": [_variant(v, versions) for v in step.variants.all()],
        "expires_after": _duration(step.expires_amount, step.expires_unit),
    }


def _window(step: Step) -> Json | None:
    """Return when the step may send; what is left open is the whole day or week."""
    if not (step.weekdays or step.send_from or step.send_until):
        return None
    return {
        "weekdays": sorted(set(step.weekdays)) or ALL_WEEK,
        "start": step.send_from or "00:00",
        "end": step.send_until or "24:00",
    }


def _variant(variant: Variant, versions: Mapping[int, int]) -> Json:
    return {
        "name": variant.name,
        "condition": variant.condition,
        "weight": variant.weight,
        "template_version": versions.get(variant.template_id, 0),
        "fallback": variant.fallback,
    }


def _refusals(
    rule: Rule, document: Json, templates: Mapping[int, Template]
) -> Iterator[PublishProblem]:
    own = [*_rule_refusals(rule), *_step_refusals(rule)]
    yield from own
    said = {refusal.field for refusal in own}
    try:
        parse_document(document)
    except DocumentInvalid as invalid:
        for problem in invalid.problems:
            found = _in_words(problem)
            if found.field not in said:
                yield found
    for template in templates.values():
        for found in template_refusals(template):
            where = f"Template “{template.name}”, {found.where}"
            yield PublishProblem(where, found.message)


def _in_words(problem: Problem) -> PublishProblem:
    return problem_of(problem.path, problem.message)


def _rule_refusals(rule: Rule) -> Iterator[PublishProblem]:
    if not rule.trigger_events:
        yield PublishProblem(
            "When this happens", "choose at least one event.", "trigger_events"
        )
    if rule.kind == Kind.MARKETING:
        if rule.topic is None:
            yield PublishProblem(
                "Topic",
                "marketing mail needs one, so that people can unsubscribe from it.",
                "topic",
            )
        if not rule.sender.postal_address.strip():
            yield PublishProblem(
                "Sender",
                f"“{rule.sender.name}” has no postal address, which the law asks for "
                "in marketing mail. Add it to the sender.",
                "sender",
            )
    if not rule.sender.provider.enabled:
        yield PublishProblem(
            "Sender",
            f"its provider “{rule.sender.provider.name}” is switched off.",
            "sender",
        )
    if rule.cooldown_key and not rule.cooldown_amount:
        yield PublishProblem(
            "Cooldown key", "needs a cooldown longer than 0.", "cooldown_amount"
        )
    if rule.exit_key and not rule.exit_events:
        yield PublishProblem(
            "Exit key", "needs at least one exit event.", "exit_events"
        )


def _step_refusals(rule: Rule) -> Iterator[PublishProblem]:
    steps = list(rule.steps.all())
    if not steps:
        yield PublishProblem("Steps", "add at least one, with a mail to send.", "")
    for place, step in enumerate(steps):
        if not step.variants.all():
            yield PublishProblem(
                f"Step {place + 1}",
                "has no mail to send. Add one with its template.",
                f"steps-{place}-variants",
            )
        if bool(step.quiet_from) != bool(step.quiet_until):
            yield PublishProblem(
                f"Step {place + 1}, quiet hours",
                "need both a beginning and an end.",
                f"steps-{place}-quiet_from",
            )
