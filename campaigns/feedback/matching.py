"""Which of our mails a provider's event speaks of, and what it may prove."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from campaigns.deciding import database
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.database import Row
from campaigns.domain.provider_events import ProviderEvent
from campaigns.domain.states import MessageState, SuppressionReason

# A bounce that names no mail is put down to the newest one of that time.
DELAYED: Final = timedelta(days=7)
CLOCKS_DIFFER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Reported:
    """A message as read before its lock; what is closed here stays so."""

    id: int
    customer: int
    state: MessageState
    address_hash: bytes | None
    token: UUID | None
    provider_message_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Match:
    """One event and its message, if it has one of ours.

    `proves` is the attempt that the provider surely took, None where the event
    only fits by its address. `suppresses` is what is to be suppressed.
    """

    event: ProviderEvent
    address_hash: bytes | None
    message: Reported | None = None
    proves: UUID | None = None
    suppresses: SuppressionReason | None = None


def match_events(events: Sequence[ProviderEvent]) -> list[Match]:
    """Find the messages of these events, in three statements, without locks."""
    tokens = _attempts(events)
    messages = _messages(events)
    by_provider_id = {
        m.provider_message_id: m for m in messages.values() if m.provider_message_id
    }
    matches = []
    for event in events:
        key = address_hash(event.address) if event.address else None
        matches.append(
            _by_reference(event, key, messages, tokens)
            or _by_provider_id(event, key, by_provider_id)
            or Match(event, key)
        )
    return _by_address(matches)


def _by_reference(
    event: ProviderEvent,
    key: bytes | None,
    messages: Mapping[int, Reported],
    tokens: Mapping[UUID, int],
) -> Match | None:
    """Match by our own arguments.

    Another installation may share the provider's account and use the same
    numbers, so the number alone proves nothing: its attempt's token, or what
    else the event says, must fit too.
    """
    if event.message_ref is None:
        return None
    found = messages.get(int(event.message_ref))
    if found is None:
        return None
    token = _token(event)
    if token is not None:
        return (
            _proven(event, key, found, token) if tokens.get(token) == found.id else None
        )
    if event.token_ref is not None:
        return None
    same_id = event.provider_message_id and (
        event.provider_message_id == found.provider_message_id
    )
    if same_id or (key is not None and key == found.address_hash):
        return _proven(event, key, found, found.token)
    return None


def _by_provider_id(
    event: ProviderEvent, key: bytes | None, known: Mapping[str, Reported]
) -> Match | None:
    found = known.get(event.provider_message_id)
    return None if found is None else _proven(event, key, found, found.token)


def _proven(
    event: ProviderEvent, key: bytes | None, message: Reported, token: UUID | None
) -> Match:
    """Return the match; only the mail's own address can be suppressed by it.

    The address itself is looked at too: its hash may be of a former key.
    """
    own = address_hash(message.address) if message.address else message.address_hash
    key = own if key is None else key
    ours = key is not None and key in (own, message.address_hash)
    return Match(event, key, message, token, event.suppression if ours else None)


def _by_address(matches: list[Match]) -> list[Match]:
    """Match what names no mail of ours by its address, if we mailed it before.

    A delayed bounce has lost all ids. An event that has foreign ids is not
    ours, whatever its address: so the test button's fakes change nothing.
    """
    lost = [
        (place, m.address_hash)
        for place, m in enumerate(matches)
        if m.message is None
        and m.address_hash is not None
        and m.event.suppression is not None
        and (m.event.without_ids or m.event.message_ref is not None)
    ]
    if not lost:
        return matches
    rows = database.run(
        "mailed_before",
        address_hash=[key for _, key in lost],
        until=[matches[place].event.occurred_at + CLOCKS_DIFFER for place, _ in lost],
    )
    after = list(matches)
    for row in rows:
        place, _ = lost[row[0] - 1]
        after[place] = _mailed(matches[place], _reported(row[1:8]), row[8])
    return after


def _mailed(match: Match, message: Reported, sent_at: datetime) -> Match:
    event = match.event
    reason = event.suppression
    # Whoever left another sender's list has not left ours.
    if not event.without_ids and reason is SuppressionReason.UNSUBSCRIBED:
        return match
    near = event.without_ids and event.occurred_at - sent_at <= DELAYED
    return Match(
        event, match.address_hash, message if near else None, suppresses=reason
    )


def _messages(events: Sequence[ProviderEvent]) -> dict[int, Reported]:
    ids = {int(e.message_ref) for e in events if e.message_ref is not None}
    provider_ids = {e.provider_message_id for e in events if e.provider_message_id}
    if not ids and not provider_ids:
        return {}
    rows = database.run(
        "messages_reported", ids=sorted(ids), provider_ids=sorted(provider_ids)
    )
    return {row[0]: _reported(row) for row in rows}


def _attempts(events: Sequence[ProviderEvent]) -> dict[UUID, int]:
    tokens = {token for e in events if (token := _token(e)) is not None}
    if not tokens:
        return {}
    return dict(database.run("attempts_by_id", ids=sorted(tokens)))


def _token(event: ProviderEvent) -> UUID | None:
    try:
        return UUID(event.token_ref) if event.token_ref else None
    except ValueError:
        return None


def _reported(row: Row) -> Reported:
    return Reported(
        id=row[0],
        customer=row[1],
        state=MessageState(row[2]),
        address_hash=None if row[3] is None else bytes(row[3]),
        token=row[4],
        provider_message_id=row[5],
        address=row[6],
    )
