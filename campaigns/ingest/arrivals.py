"""The events of some requests, told apart, and the people that their names tie together."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from campaigns.domain.events import IncomingEvent, RejectedInput, SourceRef
from campaigns.domain.intake import Name, names_of


class Arrived(NamedTuple):
    """An event with whence it came, and the names that it speaks of."""

    event: IncomingEvent
    source: SourceRef
    batch: int
    names: tuple[Name, ...]


def arrivals(
    requests: Iterable[tuple[Sequence[IncomingEvent], SourceRef]],
) -> dict[bytes, Arrived]:
    """Return the events by dedupe key, the first of each repeated one."""
    found: dict[bytes, Arrived] = {}
    for number, (events, source) in enumerate(requests):
        for event in events:
            key = dedupe_key(source.id, event.message_id)
            if key not in found:
                names = names_of(event, source)
                found[key] = Arrived(event, source, number, names)
    return found


def dedupe_key(source: int, message_id: str) -> bytes:
    """Return the key, a uuid's bytes, that makes an event of a source count once."""
    return blake2b(f"{source}:{message_id}".encode(), digest_size=16).digest()


def rejection_key(source: int, refused: RejectedInput) -> bytes:
    """Return the key that tells a rejection from others; it is no event's key."""
    said = "\0".join((refused.code, refused.message_id, refused.path, refused.body))
    text = f"rejected:{source}:{said}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()


class Link(NamedTuple):
    """Whom an event's names may come to stand for, of those who are known.

    `moves`: the names may change who is who.
    """

    people: frozenset[int]
    moves: bool


_NOBODY: Final = Link(frozenset(), moves=True)


def links(fresh: Sequence[Arrived], known: dict[Name, int]) -> list[Link]:
    """Return each event's link, through all names that the batch ties together."""
    groups = _groups(each.names for each in fresh if len(each.names) > 1)
    found: dict[Name, Link] = {}
    for each in fresh:
        first = each.names[0]
        if first in found:
            continue
        if group := groups.get(first):
            people = frozenset(known[n] for n in group if n in known)
            moves = len(people) > 1 or any(n not in known for n in group)
            found.update(dict.fromkeys(group, Link(people, moves)))
        else:
            owner = known.get(first)
            found[first] = (
                _NOBODY if owner is None else Link(frozenset((owner,)), moves=False)
            )
    return [found[each.names[0]] for each in fresh]


def _groups(tied: Iterable[Sequence[Name]]) -> dict[Name, set[Name]]:
    """Return each name's group; smaller groups join larger ones."""
    groups: dict[Name, set[Name]] = {}
    for names in tied:
        met = {id(g): g for n in names if (g := groups.get(n)) is not None}
        joined = max(met.values(), key=len, default=set())
        for part in (*(g for g in met.values() if g is not joined), names):
            joined.update(part)
            groups.update(dict.fromkeys(part, joined))
    return groups
