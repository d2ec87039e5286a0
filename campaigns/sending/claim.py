"""Claim queued mails: a token, a lease, the attempt counted, nothing sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from django.conf import settings

from campaigns.deciding import clock, database
from campaigns.deciding.database import call
from campaigns.deciding.marks import mark_of
from campaigns.domain.settle import MAX_ATTEMPTS
from campaigns.domain.states import MARKETING_LANE, TRANSACTIONAL_LANE

RISKY: Final = 2  # attempts after which a mail is claimed alone
RISKY_FIRST: Final = 7  # of that many claims one begins with such a mail
BEGIN_MARGIN_S: Final = 10  # what must be left of a lease when a call begins
BOTH_LANES: Final = (TRANSACTIONAL_LANE, MARKETING_LANE)

_turns = count(1)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed mail."""

    id: int
    token: UUID
    customer: int


@dataclass(frozen=True, slots=True)
class _Look:
    """Where to look for mails: a provider's, in these lanes, risky ones or others."""

    provider: int
    lanes: tuple[int, ...]
    risky: bool = False


def claim(*, limit: int, idle: bool = True) -> list[Claim]:
    """Claim up to `limit` mails of one provider that may be sent now.

    Transactional ones of any provider come first; else the providers take turns. A
    mail that failed twice already comes alone, and only to a process that is `idle`,
    so that what is wrong with it harms no other: after the others, but now and then
    before them, since there may always be others.
    """
    providers, told = database.run_all([call("providers_enabled"), call("clock")])
    now = clock.now(told.rows[0][0])
    turn = next(_turns)
    first = turn % max(1, len(providers.rows))
    in_turn = [p for (p,) in (*providers.rows[first:], *providers.rows[:first])]
    usual = _usual(in_turn)
    risky = [_Look(p, BOTH_LANES, risky=True) for p in in_turn] if idle else []
    looks = [*usual, *risky] if turn % RISKY_FIRST else [*risky, *usual]
    for look in looks:
        if claims := _claim(look, limit=limit, now=now):
            return claims
    return []


def give_back(claims: Sequence[Claim]) -> None:
    """Queue claimed mails again, the attempt not counted: nobody looked at them.

    What was moved meanwhile, as by a commit whose answer was lost, stays as it is.
    """
    database.run(
        "give_back",
        ids=[c.id for c in claims],
        tokens=[c.token for c in claims],
        now=clock.now(),
    )


def _usual(providers: Sequence[int]) -> list[_Look]:
    """Return where to look; each provider's own statement takes urgent mails first."""
    urgent = [_Look(p, (TRANSACTIONAL_LANE,)) for p in providers[1:]]
    return [*urgent, *(_Look(p, BOTH_LANES) for p in providers)]


def _claim(look: _Look, *, limit: int, now: datetime) -> list[Claim]:
    marks = {
        lane: mark_of("mails", look.provider, lane, look.risky) for lane in look.lanes
    }
    # A lane that is to be left alone is looked at from a time on that is to come.
    start = {lane: mark.start() for lane, mark in marks.items()}
    nowhere = now + timedelta(seconds=1)
    rows = database.run(
        "claim_mails",
        provider=look.provider,
        now=now,
        urgent_mark=start.get(TRANSACTIONAL_LANE, nowhere),
        mark=start.get(MARKETING_LANE, nowhere),
        low=RISKY if look.risky else 0,
        high=MAX_ATTEMPTS - 1 if look.risky else RISKY - 1,
        wanted=1 if look.risky else limit,
        lease_s=settings.LEASE_S,
    )
    for _, _, _, lane, not_before in rows:
        marks[lane].took(not_before)
    return [Claim(row[0], row[1], row[2]) for row in rows]
