"""Two customers turn out to be one."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from campaigns.domain.people import CooldownKey, Journey, Person, State
from campaigns.domain.react import look_back
from campaigns.domain.ruleset import Ruleset
from campaigns.domain.states import JourneyState


def merge(
    one: State, other: State, rules: Ruleset, *, now: datetime
) -> tuple[State, State]:
    """Return the survivor with all that both had, and the one merged into it.

    The older survives. Of two open journeys of one rule and key the earlier
    trigger's stays; cooldowns keep the later end; exits, wakes and goals are
    looked for again in the joined past.
    """
    winner, loser = sorted((one, other), key=lambda s: s.person.seniority)
    survivor = State(
        person=_merge_people(winner.person, loser.person),
        journeys={**winner.journeys, **loser.journeys},
        mails={**winner.mails, **loser.mails},
        cooldowns=_later(winner.cooldowns, loser.cooldowns),
        past=winner.past.joined(loser.past),
    )
    for extra, kept in _rivals(survivor):
        survivor = survivor.end_journey(
            extra,
            JourneyState.MERGED,
            cause={"reason": "merged", "into": kept.id},
            now=now,
        )
    gone = State(person=replace(loser.person, merged_into=winner.person.id))
    return look_back(survivor, rules, now=now), gone


def _merge_people(winner: Person, loser: Person) -> Person:
    email, said_at, trusted = _newer_email(winner, loser)
    traits, times = merge_traits(
        winner.traits, winner.trait_times, loser.traits, loser.trait_times
    )
    return replace(
        winner,
        user_id=winner.user_id or loser.user_id,
        email=email,
        email_said_at=said_at,
        email_trusted=trusted,
        traits=traits,
        trait_times=times,
        time_zone=winner.time_zone or loser.time_zone,
        locale=winner.locale or loser.locale,
        merged_ids=(*winner.merged_ids, *loser.merged_ids, loser.id),
    )


def _newer_email(a: Person, b: Person) -> tuple[str | None, datetime | None, bool]:
    """Return the address that counts: a trusted one first, then the later said."""
    said = [p for p in (a, b) if p.email is not None and p.email_said_at is not None]
    if not said:
        return a.email, a.email_said_at, a.email_trusted
    best = max(said, key=lambda p: (p.email_trusted, p.email_said_at, p is a))
    return best.email, best.email_said_at, best.email_trusted


def merge_traits(
    ours: Mapping[str, object],
    our_times: Mapping[str, int],
    theirs: Mapping[str, object],
    their_times: Mapping[str, int],
) -> tuple[dict[str, object], dict[str, int]]:
    """Return traits with each name's later value; of equal times, ours."""
    traits, times = dict(ours), dict(our_times)
    for name, value in theirs.items():
        said = their_times.get(name, 0)
        if name not in traits or said > times.get(name, 0):
            traits[name] = value
            times[name] = said
    return traits, times


def _later(
    a: Mapping[CooldownKey, datetime], b: Mapping[CooldownKey, datetime]
) -> dict[CooldownKey, datetime]:
    return {k: max(v for v in (a.get(k), b.get(k)) if v) for k in {*a, *b}}


def _rivals(state: State) -> list[tuple[Journey, Journey]]:
    """Return pairs (to end, to keep) of open journeys with one rule and key."""
    kept: dict[tuple[int, str], Journey] = {}
    ended: list[tuple[Journey, Journey]] = []
    ordered = sorted(
        state.open_journeys(), key=lambda j: (j.event.occurred_at, j.started_at, j.id)
    )
    for journey in ordered:
        first = kept.setdefault((journey.rule, journey.key), journey)
        if first is not journey:
            ended.append((journey, first))
    return ended
