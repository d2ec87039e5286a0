"""The last look before a mail is handed over, and what follows from it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from campaigns.domain.conditions import evaluate
from campaigns.domain.entry import exit_cause, find_exit
from campaigns.domain.people import Journey, Mail, State
from campaigns.domain.ruleset import Ruleset, Version
from campaigns.domain.states import (
    OPEN_JOURNEY,
    STOPS_TRANSACTIONAL,
    JourneyState,
    Kind,
    MessageState,
    RuleStatus,
    SkipReason,
    SuppressionReason,
)
from campaigns.domain.steps import Trigger, facts_for, go_on
from campaigns.domain.timing import is_open, next_open

CONNECTION_AGAIN: Final = timedelta(minutes=1)


class GateFacts(Struct, frozen=True, kw_only=True):
    """What was read under the locks, for one mail.

    `suppressed` are the reasons in force for the address, those of the mail's
    topic included. `subscribed` is the customer's own choice about the topic,
    None if there is none; `consented` whether a proof of consent is in force,
    `opt_in` whether the topic needs one today.
    `capped` is how many marketing mails the address had within the cap's days.
    `problem` says why the mail could not be rendered, or ''. `context_moved`
    means that the facts it was rendered with are no longer these.
    `former` is the ended journey of a mail that is sent once more by hand, unless
    the state has it.
    `connected`: the mail's provider can be used as it is set up.
    """

    trigger: Trigger
    suppressed: frozenset[SuppressionReason] = frozenset()
    subscribed: bool | None = None
    consented: bool = False
    opt_in: bool = False
    capped: int = 0
    problem: str = ""
    payload_problem: str = ""
    context_moved: bool = False
    former: Journey | None = None
    connected: bool = True


class Go(Struct, frozen=True):
    """Hand it over."""


class Wait(Struct, frozen=True):
    """Back to the queue until then; with another variant if one is named."""

    until: datetime
    reason: SkipReason
    variant: int | None = None


class Skip(Struct, frozen=True):
    """Never send this mail; its journey goes on."""

    reason: SkipReason
    detail: Mapping[str, object] = field(default_factory=dict)


class Hold(Struct, frozen=True):
    """Keep it until somebody acts: a resume, or a mended template."""

    reason: SkipReason
    detail: Mapping[str, object] = field(default_factory=dict)


Verdict = Go | Wait | Skip | Hold


def gate(
    mail: Mail, state: State, facts: GateFacts, rules: Ruleset, *, now: datetime
) -> Verdict:
    """Return whether the mail may leave now; the checks are in design order.

    What a provider refused, and then reported as taken, must not go out again.
    """
    if mail.evidence_at is not None:
        return Skip(SkipReason.DELIVERED, {"evidence_at": mail.evidence_at.isoformat()})
    if mail.version is None or mail.rule is None:
        return _address(mail, state, facts, rules) or Go()
    version = rules.version(mail.version)
    journey = state.journey_of(mail)
    stopped = _stopped(mail, journey or facts.former, rules.status(mail.rule))
    if stopped is not None or version is None:
        return stopped or Hold(SkipReason.RULE_UNREADABLE, {"version": mail.version})
    return (
        _left(journey or facts.former, version, state, now=now)
        or _address(mail, state, facts, rules)
        or _permitted(mail, version, facts)
        or _capped(mail, facts, rules)
        or _timely(mail, state, version, rules, now=now)
        or _meant(mail, state, journey, version, facts, now=now)
        or _sendable(mail, version, facts, now=now)
        or Go()
    )


def _stopped(mail: Mail, journey: Journey | None, status: RuleStatus) -> Verdict | None:
    if status is RuleStatus.ARCHIVED:
        return Skip(SkipReason.RULE_ARCHIVED)
    if status is RuleStatus.PAUSED:
        return Hold(SkipReason.RULE_PAUSED)
    state = journey.state if journey is not None else JourneyState.CANCELLED
    if state not in OPEN_JOURNEY and not (
        mail.redriven_at is not None and state is JourneyState.FINISHED
    ):
        return Skip(SkipReason.EXITED)
    return None


def _left(
    journey: Journey | None, version: Version, state: State, *, now: datetime
) -> Verdict | None:
    """Look for the exit once more.

    None was seen while the version was unreadable, or after the journey had ended
    with a mail that is sent once more.
    """
    if journey is None:
        return None
    found = find_exit(
        version, journey.exit_value, journey.event.occurred_at, state, until=now
    )
    return None if found is None else Skip(SkipReason.EXITED, exit_cause(found))


def _address(
    mail: Mail, state: State, facts: GateFacts, rules: Ruleset
) -> Verdict | None:
    person = state.person
    if not person.email:
        return Skip(SkipReason.NO_ADDRESS)
    version = rules.version(mail.version)
    public = version is not None and version.document.trigger.public
    if not person.email_trusted and not public:
        return Skip(SkipReason.ADDRESS_UNTRUSTED, {"address": person.email})
    stopping = facts.suppressed
    if mail.kind is Kind.TRANSACTIONAL:
        stopping &= STOPS_TRANSACTIONAL
    if stopping:
        return Skip(SkipReason.SUPPRESSED, {"because": sorted(map(str, stopping))})
    return None


def _permitted(mail: Mail, version: Version, facts: GateFacts) -> Verdict | None:
    if mail.kind is Kind.TRANSACTIONAL:
        return None
    topic = version.document.topic
    if facts.subscribed is False:
        return Skip(SkipReason.UNSUBSCRIBED, {"topic": topic})
    if (facts.opt_in or version.document.topic_opt_in) and not facts.consented:
        return Skip(SkipReason.NO_CONSENT, {"topic": topic})
    return None


def _capped(mail: Mail, facts: GateFacts, rules: Ruleset) -> Verdict | None:
    cap = rules.policy.cap_messages
    if mail.kind is Kind.TRANSACTIONAL or cap is None or facts.capped < cap:
        return None
    return Skip(
        SkipReason.FREQUENCY_CAP,
        {"sent": facts.capped, "cap": cap, "days": rules.policy.cap_days},
    )


def _timely(
    mail: Mail, state: State, version: Version, rules: Ruleset, *, now: datetime
) -> Verdict | None:
    if mail.not_after is not None and now > mail.not_after:
        return Skip(SkipReason.EXPIRED, {"not_after": mail.not_after.isoformat()})
    step = version.step(mail.step)
    zone = rules.policy.zone(state.person.time_zone)
    if not is_open(now, step.window, step.quiet, zone):
        opens = next_open(now, step.window, step.quiet, zone)
        return Wait(opens, SkipReason.WINDOW)
    return None


def _meant(
    mail: Mail,
    state: State,
    journey: Journey | None,
    version: Version,
    facts: GateFacts,
    *,
    now: datetime,
) -> Verdict | None:
    """Look at the rule's condition and the variant's again, with today's facts."""
    known = facts_for(journey, state, facts.trigger)
    whole = version.document.condition
    if whole is not None:
        verdict = evaluate(whole, known, now=now)
        if not verdict.holds:
            return Skip(SkipReason.CONDITION, {"condition": verdict.as_json()})
    own = version.step(mail.step).variants[mail.variant].condition
    if own is not None:
        verdict = evaluate(own, known, now=now)
        if not verdict.holds:
            return _fall_back(mail, version, SkipReason.CONDITION, now=now) or Skip(
                SkipReason.CONDITION, {"condition": verdict.as_json()}
            )
    return None


def _sendable(
    mail: Mail, version: Version, facts: GateFacts, *, now: datetime
) -> Verdict | None:
    if not facts.connected:
        return Wait(now + CONNECTION_AGAIN, SkipReason.NO_CONNECTION)
    if facts.context_moved:
        return Wait(now, SkipReason.CONTEXT_MOVED)
    if facts.problem:
        return _fall_back(mail, version, SkipReason.TEMPLATE, now=now) or Hold(
            SkipReason.TEMPLATE, {"problem": facts.problem}
        )
    if facts.payload_problem:
        return Hold(SkipReason.PAYLOAD, {"problem": facts.payload_problem})
    return None


def _fall_back(
    mail: Mail, version: Version, reason: SkipReason, *, now: datetime
) -> Wait | None:
    variants = version.step(mail.step).variants
    if variants[mail.variant].fallback:
        return None
    found = next((i for i, v in enumerate(variants) if v.fallback), None)
    return None if found is None else Wait(now, reason, variant=found)


def apply_verdict(
    state: State, mail: Mail, verdict: Verdict, rules: Ruleset, *, now: datetime
) -> State:
    """Return the state after the gate's verdict on a claimed mail."""
    match verdict:
        case Go():
            return state.with_mail(mail.move(MessageState.SENDING, sending_at=now))
        case Wait(until, _, variant):
            return state.with_mail(_requeued(mail, until, variant, rules))
        case Skip(reason, detail):
            skipped = mail.move(
                MessageState.SKIPPED,
                reason=str(reason),
                detail=dict(detail),
                settled_at=now,
            )
            return _after_skip(state.with_mail(skipped), skipped, rules, now=now)
        case Hold(reason, detail):
            return state.with_mail(
                mail.move(
                    MessageState.HELD,
                    reason=str(reason),
                    detail=dict(detail),
                    token=None,
                )
            )


def _after_skip(state: State, mail: Mail, rules: Ruleset, *, now: datetime) -> State:
    """Return the state with the journey gone on, or ended by the exit just found."""
    journey = state.journey_of(mail)
    if mail.reason == SkipReason.EXITED and journey is not None and journey.is_open:
        return state.end_journey(
            journey, JourneyState.EXITED, cause=mail.detail or {}, now=now
        )
    return after_mail(state, mail, rules, now=now)


def _requeued(mail: Mail, until: datetime, variant: int | None, rules: Ruleset) -> Mail:
    """Return the mail queued again; a claim that only waited is not counted."""
    queued = mail.move(
        MessageState.QUEUED,
        not_before=until,
        attempt=max(mail.attempt - 1, 0),
        token=None,
    )
    if variant is None or mail.version is None:
        return queued
    other = rules.versions[mail.version].step(mail.step).variants[variant]
    return replace(queued, variant=variant, template_version=other.template_version)


def after_mail(state: State, mail: Mail, rules: Ruleset, *, now: datetime) -> State:
    """Return the state with the mail's journey at its next step, if it waited for it."""
    journey = state.journey_of(mail)
    if (
        journey is None
        or not journey.is_open
        or mail.redriven_at is not None
        or (journey.step, journey.revision) != (mail.step, mail.revision)
    ):
        return state
    detail = {"message": mail.id, "outcome": str(mail.state)}
    return go_on(state, journey, rules, detail=detail, now=now)
