"""Claim queued mails: a token, a lease, the attempt counted, nothing sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings

from campaigns.deciding import clock, database
from campaigns.deciding.database import call
from campaigns.deciding.marks import mark_of
from campaigns.domain.settle import MAX_ATTEMPTS
from campaigns.domain.states import MARKETING_LANE, TRANSACTIONAL_LANE

RISKY: Final = 2  # attempts after which a mail is claimed alone


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed mail."""

    id: int
    token: UUID
    customer: int


def claim(*, limit: int, idle: bool = True) -> list[Claim]:
    """Claim up to `limit` mails that may be sent now, transactional ones first.

    A mail that failed twice already comes alone, and only to a process that is
    `idle`, so that what is wrong with it harms no other.
    """
    providers, told = database.run_all([call("providers_enabled"), call("clock")])
    now = clock.now(told.rows[0][0])
    for (provider,) in providers.rows:
        for risky in (False, True) if idle else (False,):
            claims = _claim_from(
                provider, limit=1 if risky else limit, risky=risky, now=now
            )
            if claims:
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


def _claim_from(
    provider: int, *, limit: int, risky: bool, now: datetime
) -> list[Claim]:
    marks = {
        lane: mark_of("mails", provider, lane, risky)
        for lane in (TRANSACTIONAL_LANE, MARKETING_LANE)
    }
    rows = database.run(
        "claim_mails",
        provider=provider,
        now=now,
        urgent_mark=marks[TRANSACTIONAL_LANE].start(),
        mark=marks[MARKETING_LANE].start(),
        low=RISKY if risky else 0,
        high=MAX_ATTEMPTS - 1 if risky else RISKY - 1,
        wanted=limit,
        lease_s=settings.LEASE_S,
    )
    for _, _, _, lane, not_before in rows:
        marks[lane].took(not_before)
    return [Claim(row[0], row[1], row[2]) for row in rows]
