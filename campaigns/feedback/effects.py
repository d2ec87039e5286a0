"""What provider events change: rows of their own, times of mails, suppressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from campaigns.deciding import database
from campaigns.deciding.database import call
from campaigns.deciding.suppressing import (
    Block,
    people_with,
    refuse_within,
    suppress_within,
)
from campaigns.deciding.transaction import Decision, roots
from campaigns.deciding.write import text
from campaigns.domain.addresses import normalise
from campaigns.domain.provider_events import DeliveryType, ProviderEvent
from campaigns.domain.settle import see_evidence
from campaigns.domain.states import MESSAGE_MOVES, SuppressionReason
from campaigns.feedback.matching import Match, match_events

TIMES: Final = (
    "delivered_at",
    "bounced_at",
    "opened_at",
    "clicked_at",
    "complained_at",
    "unsubscribed_at",
)
# What a person did to hear no more from us, and not what their mailbox did.
REFUSALS: Final = frozenset(
    {SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINT}
)
_TIME_OF: Final[Mapping[DeliveryType, str]] = {
    DeliveryType.DELIVERED: "delivered_at",
    DeliveryType.BOUNCED: "bounced_at",
    DeliveryType.OPENED: "opened_at",
    DeliveryType.CLICKED: "clicked_at",
    DeliveryType.COMPLAINED: "complained_at",
    DeliveryType.UNSUBSCRIBED: "unsubscribed_at",
    DeliveryType.GROUP_UNSUBSCRIBED: "unsubscribed_at",
}


@dataclass(frozen=True, slots=True)
class Applied:
    """How many events were new, how many of those of no mail of ours, and so on."""

    events: int = 0
    repeats: int = 0
    unmatched: int = 0
    suppressed: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.events + other.events,
            self.repeats + other.repeats,
            self.unmatched + other.unmatched,
            self.suppressed + other.suppressed,
        )


def apply_events(
    decision: Decision, events: Sequence[ProviderEvent], *, received_at: datetime
) -> Applied:
    """Apply events in a deciding transaction; repeats of known ones change nothing."""
    matches = match_events(events)
    refusing = _Refusing.of(matches)
    moving = _lock(decision, matches, refusing)
    fresh = _keep_new(matches, received_at=received_at)
    _see(decision, fresh, moving)
    suppressed = suppress_within(decision, _blocks(fresh))
    refusing.write(decision, fresh)
    return Applied(
        events=len(fresh),
        repeats=len(events) - len(fresh),
        unmatched=sum(m.message is None for m in fresh),
        suppressed=suppressed,
    )


@dataclass(frozen=True, slots=True)
class _Refusing:
    """Whose refusals these events may be: who was mailed, and who has the address.

    Both are read without locks; `having` is looked at again under them.
    """

    mailed: Mapping[int, int]
    having: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, matches: Sequence[Match]) -> "_Refusing":
        ours = [m for m in matches if m.suppresses in REFUSALS]
        mailed = [m.message.customer for m in ours if m.message is not None]
        addresses = {m.event.address for m in ours if m.event.address}
        return cls(roots(mailed), people_with(addresses))

    def people(self) -> set[int]:
        """Return all of them."""
        having = {person for people in self.having.values() for person in people}
        return having | set(self.mailed.values())

    def write(self, decision: Decision, fresh: Sequence[Match]) -> None:
        """Keep the refusals of new events, the earliest first, with their proof."""
        for m in _in_time(fresh):
            if m.suppresses not in REFUSALS:
                continue
            for person in sorted(self._of(m, decision)):
                refuse_within(
                    decision,
                    person,
                    origin=_origin(m.event),
                    wording=f"The provider reported “{m.event.name}” of "
                    f"{m.event.occurred_at.isoformat()}.",
                )

    def _of(self, m: Match, decision: Decision) -> set[int]:
        address = normalise(m.event.address)
        people = {
            person
            for person in self.having.get(address, ())
            if decision.states[person].person.email == address
        }
        if m.message is not None and m.message.customer in self.mailed:
            people.add(self.mailed[m.message.customer])
        return people


def _lock(
    decision: Decision, matches: Sequence[Match], refusing: _Refusing
) -> dict[int, int]:
    """Lock people, addresses, messages; return (mail: person) for mails that may move.

    Only evidence moves a mail, and only one that is not at its end, so only
    those mails need their people, and those who refuse.
    """
    messages = {m.message.id: m.message for m in matches if m.message is not None}
    open_ones = {
        m.message.id: m.message.customer
        for m in matches
        if m.message is not None and m.proves and MESSAGE_MOVES[m.message.state]
    }
    owners = roots(open_ones.values())
    keys = {m.address_hash for m in matches if m.suppresses and m.address_hash}
    decision.lock({*owners.values(), *refusing.people()}, hashes=keys)
    if messages:
        decision.waiting(call("lock_messages", ids=sorted(messages)))
    moving = {mail: owners[c] for mail, c in open_ones.items() if c in owners}
    if moving:
        decision.load_mails(moving)
    return moving


def _keep_new(matches: Sequence[Match], *, received_at: datetime) -> list[Match]:
    """Insert the events; return those that were not known, each once."""
    by_key = {m.event.content_key: m for m in reversed(matches)}
    ordered = [by_key[key] for key in sorted(by_key)]
    if not ordered:
        return []
    events = [m.event for m in ordered]
    rows = database.run(
        "insert_delivery_events",
        received_at=received_at,
        id_key=[UUID(bytes=e.id_key) if e.id_key else None for e in events],
        content_key=[UUID(bytes=e.content_key) for e in events],
        message_id=[m.message.id if m.message else None for m in ordered],
        type=[str(e.type) for e in events],
        occurred_at=[e.occurred_at for e in events],
        address_hash=[m.address_hash for m in ordered],
        url=[_shown(e.url) for e in events],
        machine=[e.machine_open for e in events],
        detail=[text(_detail(e)) for e in events],
    )
    return [by_key[row[0].bytes] for row in rows]


def _shown(url: str) -> str:
    """Return the link without the token of an unsubscribe link, which acts."""
    parts = urlsplit(url) if url.isprintable() and "[" not in url else None
    if parts is None or not parts.path.startswith("/u/"):
        return url
    return f"{parts.scheme}://{parts.netloc}/u/…"


def _detail(event: ProviderEvent) -> dict[str, str]:
    said = {
        "name": event.name,
        "reason": event.reason,
        "status": event.status,
        "bounce_type": event.bounce_type,
        "classification": event.bounce_classification,
    }
    return {key: value for key, value in said.items() if value}


def _see(decision: Decision, fresh: Sequence[Match], moving: Mapping[int, int]) -> None:
    """Write what was reported of mails; let evidence settle those that are unknown."""
    proven = {m.message.id for m in fresh if m.message is not None and m.proves}
    for mail_id in sorted(proven & moving.keys()):
        state = decision.states[moving[mail_id]]
        seen = see_evidence(state.mails[mail_id], now=decision.now)
        decision.states[moving[mail_id]] = state.with_mail(seen)
    if moved := sorted(proven & moving.keys()):
        decision.note("evidence", {"mails": moved})
    tokens = sorted({m.proves for m in fresh if m.proves})
    if tokens:
        database.run("accept_attempts", ids=tokens)
    _report(decision, fresh, proven - moving.keys())


def _report(decision: Decision, fresh: Sequence[Match], proven: set[int]) -> None:
    times: dict[int, dict[str, datetime]] = {mail: {} for mail in proven}
    for m in fresh:
        column = _TIME_OF.get(m.event.type)
        if m.message is None or column is None or m.event.machine_open:
            continue
        said = times.setdefault(m.message.id, {})
        at = m.event.occurred_at
        said[column] = min(said.get(column, at), at)
    ids = sorted(times)
    if ids:
        database.run(
            "report_messages",
            now=decision.now,
            id=ids,
            evidence=[i in proven for i in ids],
            **{column: [times[i].get(column) for i in ids] for column in TIMES},
        )


def _blocks(fresh: Sequence[Match]) -> list[Block]:
    return [
        Block(
            address_hash=m.address_hash,
            address=normalise(m.event.address),
            reason=m.suppresses,
            origin=_origin(m.event),
        )
        for m in _in_time(fresh)
        if m.suppresses is not None and m.address_hash is not None
    ]


def _in_time(matches: Sequence[Match]) -> list[Match]:
    return sorted(matches, key=lambda m: (m.event.occurred_at, m.event.content_key))


def _origin(event: ProviderEvent) -> str:
    return f"sendgrid: {event.name} {event.status}".strip()
