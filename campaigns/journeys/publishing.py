"""Publish, pause, resume and archive rules: each a stop or start that acts at once.

Every change of what decisions read takes the ruleset exclusively, writes and
raises its number in one transaction; journeys are moved afterwards.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import available_timezones

from campaigns.deciding import rulesets
from campaigns.deciding.transaction import Decision, decide
from campaigns.domain.documents import dump_document, parse_document
from campaigns.domain.states import RuleStatus
from campaigns.journeys.drafts import Draft, draft_document, read_draft, read_rule
from campaigns.journeys.moves import finish_moves, move_journeys
from campaigns.journeys.refusals import NotAllowedNow, PublishProblem, PublishRefused
from campaigns.journeys.templates import frozen
from campaigns.models import Company, Rule, RuleStatusChange, RuleVersion, Template

__all__ = [
    "NotAllowedNow",
    "PublishProblem",
    "PublishRefused",
    "archive",
    "change_settings",
    "company_refusals",
    "draft_document",
    "finish_moves",
    "pause",
    "publish",
    "read_draft",
    "resume",
    "set_company",
]  # fmt: skip

MOVE_NOW_S: Final = 5.0  # the rest is housekeeping's
TRIES: Final = 10
_LIVE: Final = (RuleStatus.ACTIVE, RuleStatus.PAUSED)

T = TypeVar("T")


def publish(rule_id: int, *, by: str) -> RuleVersion:
    """Freeze the rule and the templates that it sends, and let it run.

    A draft becomes active; a paused rule stays paused, with its new version for
    those that it takes in later. Journeys under way keep the version that they
    began with. Raises PublishRefused with everything that must be mended, and
    NotAllowedNow for an archived rule.
    """
    for _ in range(TRIES):
        draft = read_draft(rule_id)
        if draft.refusals:
            raise PublishRefused(draft.refusals)
        version = _try_publish(rule_id, draft, by=by)
        if version is not None:
            return version
    raise NotAllowedNow("The rule is being changed by somebody else. Try again.")


def _try_publish(rule_id: int, seen: Draft, *, by: str) -> RuleVersion | None:
    return decide(lambda d: _publish(d, rule_id, seen, by), exclusive=True)


def _publish(
    decision: Decision, rule_id: int, seen: Draft, by: str
) -> RuleVersion | None:
    """Publish what was checked; None if it was changed since."""
    locked = Rule.objects.select_for_update().get(pk=rule_id)
    _allowed(locked, "published", *_LIVE, RuleStatus.DRAFT)
    templates = list(
        Template.objects.select_for_update()
        .filter(pk__in=seen.templates)
        .order_by("pk")
    )
    if read_draft(rule_id) != seen:
        return None
    versions = {t.pk: frozen(t, by=by, now=decision.now).pk for t in templates}
    rule = read_rule(rule_id)
    document = parse_document(draft_document(rule, versions=versions))
    version = RuleVersion.objects.create(
        rule=rule,
        number=document.version,
        document=dump_document(document),
        published_at=decision.now,
        published_by=by[:150],
    )
    rule.current = version
    rule.save(update_fields=["current"])
    if rule.status == RuleStatus.DRAFT:
        _set_status(rule, RuleStatus.ACTIVE, by=by, now=decision.now)
    _changed(decision, rule)
    return version


def pause(rule_id: int, *, by: str) -> None:
    """Let nobody in and send nothing until the rule is resumed.

    Raises NotAllowedNow unless the rule is active.
    """
    _move(rule_id, RuleStatus.PAUSED, (RuleStatus.ACTIVE,), "paused", by=by)


def resume(rule_id: int, *, by: str) -> bool:
    """Let the rule run again; True if every parked journey is moving already.

    Raises NotAllowedNow unless the rule is paused.
    """
    _move(rule_id, RuleStatus.ACTIVE, (RuleStatus.PAUSED,), "resumed", by=by)
    return move_journeys(rule_id, limit_s=MOVE_NOW_S)


def archive(rule_id: int, *, by: str) -> bool:
    """End the rule for good; True if every open journey is cancelled already.

    What is not yet cancelled is stopped all the same. Raises NotAllowedNow
    unless the rule is active or paused.
    """
    _move(rule_id, RuleStatus.ARCHIVED, _LIVE, "archived", by=by)
    return move_journeys(rule_id, limit_s=MOVE_NOW_S)


def _move(
    rule_id: int, to: RuleStatus, allowed: tuple[RuleStatus, ...], verb: str, *, by: str
) -> None:
    def work(decision: Decision) -> None:
        rule = Rule.objects.select_for_update().get(pk=rule_id)
        _allowed(rule, verb, *allowed)
        _set_status(rule, to, by=by, now=decision.now)
        _changed(decision, rule)

    decide(work, exclusive=True)


def _allowed(rule: Rule, verb: str, *statuses: RuleStatus) -> None:
    if rule.status not in statuses:
        can = " or ".join(statuses)
        raise NotAllowedNow(
            f"“{rule.name}” is {rule.status}; only a rule that is {can} can be {verb}."
        )


def _set_status(rule: Rule, status: RuleStatus, *, by: str, now: datetime) -> None:
    rule.status = status
    rule.status_changed_at = now
    rule.save(update_fields=["status", "status_changed_at"])
    RuleStatusChange.objects.create(
        rule=rule, status=status, changed_at=now, changed_by=by[:150]
    )


def _changed(decision: Decision, rule: Rule) -> None:
    number = rulesets.bump()
    decision.note(
        "rules",
        {
            "number": number,
            "rule": rule.pk,
            "status": str(rule.status),
            "version": rule.current_id,
        },
    )


def set_company(
    *, name: str, time_zone: str, cap_messages: int | None, cap_days: int
) -> Company:
    """Change what holds for every rule; every later decision sees it.

    Raises PublishRefused for values that no decision could use.
    """
    found = list(company_refusals(time_zone, cap_messages, cap_days))
    if found:
        raise PublishRefused(found)

    def work() -> Company:
        values = {
            "name": name,
            "time_zone": time_zone,
            "cap_messages": cap_messages,
            "cap_days": cap_days,
        }
        return Company.objects.update_or_create(pk=1, defaults=values)[0]

    return change_settings(work)


def company_refusals(
    time_zone: str, cap_messages: int | None, cap_days: int
) -> list[PublishProblem]:
    """Return what is wrong with values for the company, each with its field."""
    found = []
    if time_zone not in available_timezones():
        sentence = f"“{time_zone[:60]}” is no time zone; give one such as Europe/Paris."
        found.append(PublishProblem("Time zone", sentence, "time_zone"))
    if cap_messages is not None and not 0 <= cap_messages <= 1000:
        sentence = "must be from 0 to 1000, or empty for no cap."
        found.append(PublishProblem("Cap", sentence, "cap_messages"))
    if not 1 <= cap_days <= 365:
        found.append(PublishProblem("Cap", "must be from 1 to 365 days.", "cap_days"))
    return found


def change_settings(work: Callable[[], T]) -> T:
    """Write what the compiled ruleset reads besides rules (company, senders).

    `work` runs while no decision is under way; every later one sees it.
    """

    def change(decision: Decision) -> T:
        done = work()
        decision.note("rules", {"number": rulesets.bump()})
        return done

    return decide(change, exclusive=True)
