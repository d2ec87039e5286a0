"""One customer's story: everything that happened and was decided, with its reason.

Read in a constant number of statements, over the customer and whoever was
merged into it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from campaigns.models import (
    Consent,
    Conversion,
    Customer,
    DeliveryEvent,
    Event,
    Journey,
    Message,
    Rule,
)
from campaigns.reports.codes import REPORTS
from campaigns.reports.waiting import (
    Waiting,
    customer_zone,
    until_words,
    waiting_journeys,
)
from campaigns.reports.wording import (
    cause_words,
    decision_words,
    in_words,
    mail_words,
    time_words,
)

LIMIT: Final = 200
_GONE: Final = "A rule that is gone"
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
# Causes before what they cause, where both carry the same time.
_EVENT, _DECISION, _SAID, _LEFT, _QUEUED, _SETTLED, _FINISHED, _REPORTED = range(8)
_REPORT_ORDER: Final = tuple(REPORTS)
# Webhooks name whole seconds, by another clock: a report that seems older than
# the mail's end by less than this belongs behind it.
_CLOCKS_APART: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: when, what kind, a title, why, and whose page shows it.

    `model` and `pk` name that page; `tone` is good, busy, warn, bad or "".
    `order` sorts what happened at once; `after` is a time that it cannot precede.
    """

    at: datetime
    kind: str
    title: str
    why: str = ""
    tone: str = ""
    model: str = ""
    pk: int = 0
    order: tuple[int, int] = (_EVENT, 0)
    after: datetime | None = None

    @property
    def place(self) -> tuple[datetime, tuple[int, int]]:
        """Return what the timeline is sorted by: time, then cause before effect."""
        return max(self.at, self.after or self.at), self.order


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
    zone = customer_zone(customer)
    asleep = waiting_journeys(journeys, zone) if before is None else {}
    by_id = {m.pk: m for m in mails}
    came = _goals_came(journeys, events)
    found = [
        *(e for row in events for e in _event(row, rules)),
        *(e for j in journeys for e in _journey(j, rules, asleep.get(j.pk), came)),
        *(e for row in mails for e in _mail(row, rules, zone)),
        *(_report(row, by_id.get(row.message_id or 0)) for row in reports),
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
    shown.sort(key=lambda e: e.place, reverse=True)
    return Timeline(tuple(shown), horizon)


def _goals_came(
    journeys: Iterable[Journey], events: Iterable[Event]
) -> dict[int, datetime]:
    """Return when the goal event of each journey came in, as far as it is shown."""
    came = {e.pk: e.received_at for e in events}
    reached = [j.pk for j in journeys if j.converted_at is not None]
    goals = Conversion.objects.filter(pk__in=reached).values_list("pk", "event_id")
    return {journey: came[event] for journey, event in goals if event in came}


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
    rule = rules.get(int(decision.get("rule") or 0), _GONE)
    started = reason in ("entered", "control", "restarted")
    journey = decision.get("journey")
    model, pk = ("journey", int(journey)) if journey else ("event", row.pk)
    return Entry(
        row.received_at,
        "Decision",
        f"{rule}: {'started' if started else 'not started'}",
        "" if reason == "entered" else decision_words(decision),
        "good" if reason == "entered" else "",
        model,
        pk,
        (_DECISION, 0),
    )


def _journey(
    row: Journey,
    rules: Mapping[int, str],
    asleep: Waiting | None,
    came: Mapping[int, datetime],
) -> Iterator[Entry]:
    rule = rules.get(row.rule_id, _GONE)

    def entry(at: datetime, kind: str, title: str, **more: Any) -> Entry:
        return Entry(at, kind, f"{rule}: {title}", model="journey", pk=row.pk, **more)

    if row.ended_at is not None:
        done = _FINISHED if row.state == "finished" else _LEFT
        title, why = _ENDED.get(row.state, row.state), cause_words(row.cause)
        yield entry(row.ended_at, "Journey", title, why=why, order=(done, 0))
    if row.converted_at is not None:
        # It counts from when the goal event happened; the event stands where it came.
        reached = {"tone": "good", "order": (_LEFT, 0)}
        after = came.get(row.pk)
        yield entry(row.converted_at, "Journey", "goal reached", after=after, **reached)
    if row.state == "held" and row.held_due_at is not None:
        why = f"the rule is paused; it was due at {time_words(row.held_due_at)}"
        yield entry(row.held_due_at, "Journey", "parked", why=why, tone="warn")
    if asleep is not None:
        yield entry(asleep.until, "Waiting", "waits", why=asleep.words, tone="busy")


def _mail(row: Message, rules: Mapping[int, str], zone: tzinfo) -> Iterator[Entry]:
    rule = rules.get(row.rule_id or 0, row.purpose)
    what = f"{rule}, step {row.step + 1}"
    why = mail_words(row.reason, row.detail)
    if row.settled_at is not None:
        yield Entry(
            row.settled_at,
            "Mail",
            f"{what}: {in_words(_OUTCOMES, row.state)}",
            why or (f"to {row.address}" if row.address else ""),
            {"sent": "good", "failed": "bad", "unknown": "warn"}.get(row.state, ""),
            "message",
            row.pk,
            (_SETTLED, 0),
        )
    held = row.state == "held"
    if row.state == "queued" and row.not_before and row.not_before > row.created_at:
        why = "; ".join(filter(None, (why, until_words(row.not_before, zone))))
    yield Entry(
        row.created_at,
        "Mail",
        f"{what}: {'held back' if held else 'queued'}",
        why if row.state in ("queued", "held") else "",
        "warn" if held else "",
        "message",
        row.pk,
        (_QUEUED, 0),
    )


def _report(row: DeliveryEvent, mail: Message | None) -> Entry:
    """Return what the provider said; behind the end of the mail that it speaks of."""
    tones = {
        "delivered": "good",
        "opened": "good",
        "clicked": "good",
        "bounced": "bad",
        "complained": "bad",
        "dropped": "bad",
    }
    why = row.url
    if row.machine:
        why = "by a machine, not by the person"
    elif not why and row.detail:
        why = str(row.detail.get("reason") or "")
    place = _REPORT_ORDER.index(row.type) if row.type in REPORTS else 0
    ended = mail.settled_at if mail else None
    return Entry(
        row.occurred_at,
        "Delivery",
        in_words(REPORTS, row.type),
        why,
        tones.get(row.type, ""),
        "message",
        row.message_id or 0,
        (_REPORTED, place),
        ended if ended and ended - row.occurred_at < _CLOCKS_APART else None,
    )


def _consent(row: Consent) -> Entry:
    title = f"{row.topic}: {'subscribed' if row.granted else 'unsubscribed'}"
    parts: Sequence[str] = [row.origin, f"“{row.wording}”" if row.wording else ""]
    why = ", ".join(p for p in parts if p)
    tone = "" if row.granted else "warn"
    return Entry(row.said_at, "Subscription", title, why, tone, order=(_SAID, 0))
