"""One customer's story: everything that happened and was decided, with its reason.

Read in a constant number of statements, over the customer and whoever was
merged into it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from campaigns.models import (
    Consent,
    Customer,
    DeliveryEvent,
    Event,
    Journey,
    Message,
    Rule,
)
from campaigns.reports.wording import (
    cause_words,
    decision_words,
    mail_words,
    time_words,
)

LIMIT: Final = 200
_ENDED: Final = {
    "finished": "finished",
    "exited": "left early",
    "cancelled": "was cancelled",
    "merged": "was merged",
}
_OUTCOMES: Final = {
    "sent": "sent",
    "skipped": "not sent",
    "failed": "failed",
    "unknown": "handed over, with no answer",
    "cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: when, what kind, a title, why, and whose page shows it.

    `model` and `pk` name that page; `tone` is good, busy, warn, bad or "".
    """

    at: datetime
    kind: str
    title: str
    why: str = ""
    tone: str = ""
    model: str = ""
    pk: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest entries first; `older` is where the next page begins, or None."""

    entries: tuple[Entry, ...]
    older: datetime | None


def members(customer: Customer) -> list[int]:
    """Return the ids under which this person's rows may stand."""
    return [customer.pk, *customer.merged_ids]


def build_timeline(
    customer: Customer, *, before: datetime | None = None, limit: int = LIMIT
) -> Timeline:
    """Return a customer's story before a time, up to about `limit` of each kind."""
    people = members(customer)
    events = _newest(
        Event.objects.filter(customer__in=people), "received_at", before, limit
    )
    journeys = _newest(
        Journey.objects.filter(customer__in=people), "started_at", before, limit
    )
    mails = _newest(
        Message.objects.filter(customer__in=people), "created_at", before, limit
    )
    consents = _newest(
        Consent.objects.filter(customer__in=people).select_related("topic"),
        "said_at",
        before,
        limit,
    )
    reports = list(
        DeliveryEvent.objects.filter(message__in=[m.pk for m in mails]).order_by(
            "-occurred_at", "-pk"
        )[: limit * 3]
    )
    rules = dict(
        Rule.objects.filter(pk__in=_rules(events, journeys, mails)).values_list(
            "pk", "name"
        )
    )
    found = [
        *(e for row in events for e in _event(row, rules)),
        *(e for row in journeys for e in _journey(row, rules)),
        *(e for row in mails for e in _mail(row, rules)),
        *(_report(row) for row in reports),
        *(_consent(row) for row in consents),
    ]
    ends = [
        getattr(rows[-1], name)
        for rows, name in (
            (events, "received_at"),
            (journeys, "started_at"),
            (mails, "created_at"),
            (consents, "said_at"),
        )
        if len(rows) == limit
    ]
    # What is older than the end of a cut list would look as if nothing else was.
    horizon = max(ends, default=None)
    shown = [e for e in found if horizon is None or e.at >= horizon]
    shown.sort(key=lambda e: (e.at, _RANK[e.kind]), reverse=True)
    return Timeline(tuple(shown), horizon)


_RANK: Final = {
    "Event": 0,
    "Decision": 1,
    "Subscription": 2,
    "Journey": 3,
    "Mail": 4,
    "Delivery": 5,
}


def _newest(rows: Any, time: str, before: datetime | None, limit: int) -> list[Any]:
    if before is not None:
        rows = rows.filter(**{f"{time}__lt": before})
    return list(rows.order_by(f"-{time}", "-pk")[:limit])


def _rules(
    events: Iterable[Event], journeys: Iterable[Journey], mails: Iterable[Message]
) -> set[int]:
    decided = {d.get("rule") for e in events for d in e.decisions or ()}
    owned = {j.rule_id for j in journeys} | {m.rule_id for m in mails}
    return {int(r) for r in decided | owned if r}


def _event(row: Event, rules: Mapping[int, str]) -> Iterator[Entry]:
    late = ""
    if abs((row.received_at - row.occurred_at).total_seconds()) > 60:
        late = f"It happened at {time_words(row.occurred_at)}."
    title = row.name or row.type.capitalize()
    yield Entry(row.received_at, "Event", title, late, "", "event", row.pk)
    for decision in row.decisions or ():
        yield decided(row, decision, rules)


def decided(row: Event, decision: Mapping[str, Any], rules: Mapping[int, str]) -> Entry:
    """Return what one rule made of an event."""
    reason = str(decision.get("reason", ""))
    rule = rules.get(int(decision.get("rule") or 0), "a rule that is gone")
    started = reason in ("entered", "control", "restarted")
    title = f"{rule}: {'started' if started else 'not started'}"
    tone = "good" if reason == "entered" else ""
    journey = decision.get("journey")
    model, pk = ("journey", int(journey)) if journey else ("event", row.pk)
    return Entry(
        row.received_at, "Decision", title, decision_words(decision), tone, model, pk
    )


def _journey(row: Journey, rules: Mapping[int, str]) -> Iterator[Entry]:
    rule = rules.get(row.rule_id, "a rule that is gone")
    if row.ended_at is not None:
        title = f"{rule}: {_ENDED.get(row.state, row.state)}"
        why = cause_words(row.cause)
        yield Entry(row.ended_at, "Journey", title, why, "", "journey", row.pk)
    if row.converted_at is not None:
        title = f"{rule}: goal reached"
        yield Entry(row.converted_at, "Journey", title, "", "good", "journey", row.pk)
    if row.state == "held" and row.held_due_at is not None:
        why = f"the rule is paused; it was due at {time_words(row.held_due_at)}"
        at = row.held_due_at
        yield Entry(at, "Journey", f"{rule}: parked", why, "warn", "journey", row.pk)


def _mail(row: Message, rules: Mapping[int, str]) -> Iterator[Entry]:
    rule = rules.get(row.rule_id or 0, row.purpose)
    why = mail_words(row.reason, row.detail)
    what = f"{rule}, step {row.step + 1}"
    if row.settled_at is not None:
        outcome = _OUTCOMES.get(row.state, row.state)
        tone = {"sent": "good", "failed": "bad", "unknown": "warn"}.get(row.state, "")
        said = why or (f"to {row.address}" if row.address else "")
        yield Entry(
            row.settled_at, "Mail", f"{what}: {outcome}", said, tone, "message", row.pk
        )
    waits = why if row.state in ("queued", "held") else ""
    held = row.state == "held"
    title = f"{what}: {'held back' if held else 'queued'}"
    tone = "warn" if held else ""
    yield Entry(row.created_at, "Mail", title, waits, tone, "message", row.pk)


def _report(row: DeliveryEvent) -> Entry:
    tones = {
        "delivered": "good",
        "bounced": "bad",
        "complained": "bad",
        "dropped": "bad",
    }
    why = row.url
    if row.machine:
        why = "by a machine, not by the person"
    elif not why and row.detail:
        why = str(row.detail.get("reason") or "")
    title = row.type.replace("_", " ").capitalize()
    return Entry(
        row.occurred_at,
        "Delivery",
        title,
        why,
        tones.get(row.type, ""),
        "message",
        row.message_id or 0,
    )


def _consent(row: Consent) -> Entry:
    title = f"{row.topic}: {'subscribed' if row.granted else 'unsubscribed'}"
    parts: Sequence[str] = [row.origin, f"“{row.wording}”" if row.wording else ""]
    why = ", ".join(p for p in parts if p)
    return Entry(row.said_at, "Subscription", title, why, "" if row.granted else "warn")
