"""Claim queued mails: a token, a lease, the attempt counted, nothing sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic

from campaigns.deciding import clock, database
from campaigns.deciding.marks import mark_of
from campaigns.domain.settle import MAX_ATTEMPTS
from campaigns.domain.states import MARKETING_LANE, TRANSACTIONAL_LANE
from campaigns.models import Provider

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
    now = clock.now()
    for provider in Provider.objects.filter(enabled=True).values_list("pk", flat=True):
        for risky in (False, True) if idle else (False,):
            claims = _claim_from(
                provider, limit=1 if risky else limit, risky=risky, now=now
            )
            if claims:
                return claims
    return []


def _claim_from(
    provider: int, *, limit: int, risky: bool, now: datetime
) -> list[Claim]:
    with atomic():
        granted = database.run("take_tokens", provider=provider, wanted=limit, now=now)
        if not granted:
            return []
        room = granted[0][0]
        claims = _claim_lanes(provider, room=room, risky=risky, now=now)
        if len(claims) < room:
            unused = room - len(claims)
            database.run("return_tokens", provider=provider, unused=unused)
    return claims


def _claim_lanes(
    provider: int, *, room: int, risky: bool, now: datetime
) -> list[Claim]:
    claims: list[Claim] = []
    for lane in (TRANSACTIONAL_LANE, MARKETING_LANE):
        if room > len(claims):
            claims += _claim_lane(provider, lane, room - len(claims), risky, now)
    return claims


def _claim_lane(
    provider: int,
    lane: int,
    limit: int,
    risky: bool,  # noqa: FBT001 - private
    now: datetime,
) -> Sequence[Claim]:
    mark = mark_of("mails", provider, lane, risky)
    rows = database.run(
        "claim_mails",
        lane=lane,
        provider=provider,
        now=now,
        mark=mark.start(),
        low=RISKY if risky else 0,
        high=MAX_ATTEMPTS - 1 if risky else RISKY - 1,
        limit=limit,
        lease_s=settings.LEASE_S,
    )
    if rows:
        mark.took(max(row[3] for row in rows))
    return [Claim(row[0], row[1], row[2]) for row in rows]
