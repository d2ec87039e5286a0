"""Say how to write what a decision changed: one statement for each kind of row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from campaigns.deciding import database
from campaigns.deciding.database import Call, call
from campaigns.domain.people import Journey, Mail, Person, State
from campaigns.domain.states import JourneyState


def changes(
    before: Mapping[int, State],
    after: Mapping[int, State],
    merged: Sequence[tuple[int, int]],
    *,
    now: datetime,
) -> Iterator[Call]:
    """Yield what writes the difference between two sets of states, in this order.

    Merged people move first.
    """
    yield from _people(before, after, now=now)
    if merged:
        losers, winners = zip(*_final(merged), strict=True)
        yield call("merge_customers", loser=losers, winner=winners)
    old_journeys = {
        j.id: (s.person.id, j) for s in before.values() for j in s.journeys.values()
    }
    new_journeys = {
        j.id: (s.person.id, j) for s in after.values() for j in s.journeys.values()
    }
    yield from _journeys(old_journeys, new_journeys, now=now)
    yield from _mails(before, after)
    yield from _cooldowns(before, after)


def _final(merged: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (loser, survivor) pairs where a survivor was itself merged later."""
    into = dict(merged)
    pairs = []
    for loser, winner in merged:
        root = winner
        while root in into:
            root = into[root]
        pairs.append((loser, root))
    return pairs


def _people(
    before: Mapping[int, State], after: Mapping[int, State], *, now: datetime
) -> Iterator[Call]:
    changed = [
        s.person
        for key, s in after.items()
        if key not in before or before[key].person != s.person
    ]
    if not changed:
        return
    rows = [_person_row(p) for p in sorted(changed, key=lambda p: p.id)]
    c = database.columns(rows, 14)
    yield call(
        "write_people",
        id=c[0],
        born_as=c[1],
        created_at=c[2],
        bucket=c[3],
        user_id=c[4],
        email=c[5],
        email_said_at=c[6],
        email_trusted=c[7],
        traits=c[8],
        trait_times=c[9],
        time_zone=c[10],
        locale=c[11],
        merged_ids=c[12],
        merged_into=c[13],
        now=now,
    )


def _person_row(p: Person) -> tuple[object, ...]:
    members = "{" + ",".join(map(str, p.merged_ids)) + "}"
    return (
        p.id,
        p.born_as,
        p.created_at,
        p.bucket,
        p.user_id,
        p.email,
        p.email_said_at,
        p.email_trusted,
        msgspec.json.encode(p.traits),
        msgspec.json.encode(p.trait_times),
        p.time_zone,
        p.locale,
        members,
        p.merged_into,
    )


Owned = Mapping[int, tuple[int, Journey]]


def _journeys(old: Owned, new: Owned, *, now: datetime) -> Iterator[Call]:
    born = [v for k, v in new.items() if k not in old]
    moved = [(old[k][1], v) for k, v in new.items() if k in old and old[k] != v]
    # What ended first, in a statement of its own: another may take its place in
    # journey_one_open, which is checked row by row.
    for is_open in (False, True):
        some = [pair for pair in moved if pair[1][1].is_open is is_open]
        if some:
            yield _update_journeys(sorted(some, key=lambda pair: pair[0].id))
    if born:
        yield _insert_journeys(sorted(born, key=lambda v: (v[1].is_open, v[1].id)))
    yield from _timers(old, new)
    goals = [
        (p, j)
        for k, (p, j) in new.items()
        if j.converted_by is not None
        and (k not in old or old[k][1].converted_at is None)
    ]
    if goals:
        yield call(
            "insert_conversions",
            journey_id=[j.id for _, j in goals],
            rule_id=[j.rule for _, j in goals],
            customer_id=[p for p, _ in goals],
            arm=[str(j.arm) for _, j in goals],
            event_id=[j.converted_by for _, j in goals],
            occurred_at=[j.converted_at for _, j in goals],
            now=now,
        )


def _common(owned: Sequence[tuple[int, Journey]]) -> dict[str, Any]:
    """Return the columns that insert and update of journeys share."""
    journeys = [j for _, j in owned]
    return {
        "id": [j.id for j in journeys],
        "customer_id": [p for p, _ in owned],
        "trigger_id": [j.trigger.id for j in journeys],
        "trigger_received_at": [j.trigger.received_at for j in journeys],
        "trigger_occurred_at": [j.trigger.occurred_at for j in journeys],
        "state": [str(j.state) for j in journeys],
        "step": [j.step for j in journeys],
        "revision": [j.revision for j in journeys],
        "wait_since": [j.wait_since for j in journeys],
        "woken_by": [j.woken_by for j in journeys],
        "held_due_at": [j.held_due_at for j in journeys],
        "ended_at": [j.ended_at for j in journeys],
        "cause": [json_or_none(j.cause) for j in journeys],
        "goal_until": [j.goal_until for j in journeys],
        "converted_at": [j.converted_at for j in journeys],
        "watched_until": [j.watched_until for j in journeys],
    }


def _update_journeys(moved: Sequence[tuple[Journey, tuple[int, Journey]]]) -> Call:
    return call(
        "update_journeys",
        rows=len(moved),
        old_state=[str(was.state) for was, _ in moved],
        **_common([owned for _, owned in moved]),
    )


def _insert_journeys(owned: Sequence[tuple[int, Journey]]) -> Call:
    journeys = [j for _, j in owned]
    return call(
        "insert_journeys",
        rule_id=[j.rule for j in journeys],
        version_id=[j.version for j in journeys],
        key=[j.key for j in journeys],
        exit_value=[j.exit_value for j in journeys],
        event_id=[j.event.id for j in journeys],
        event_received_at=[j.event.received_at for j in journeys],
        event_occurred_at=[j.event.occurred_at for j in journeys],
        arm=[str(j.arm) for j in journeys],
        lane=[j.lane for j in journeys],
        started_at=[j.started_at for j in journeys],
        **_common(owned),
    )


def _timers(old: Owned, new: Owned) -> Iterator[Call]:
    def timer(owned: tuple[int, Journey] | None) -> tuple[int, datetime] | None:
        if owned is None or owned[1].state is not JourneyState.WAITING:
            return None
        due = owned[1].due_at
        return None if due is None else (owned[0], due)

    gone = [k for k in new if timer(old.get(k)) and not timer(new[k])]
    if gone:
        yield call("delete_timers", journeys=gone)
    due = [
        (j.id, t[0], j.lane, t[1])
        for k, (_, j) in sorted(new.items())
        if (t := timer(new[k])) and t != timer(old.get(k))
    ]
    if due:
        ids, people, lanes, times = database.columns(due, 4)
        yield call(
            "write_timers",
            journey_id=ids,
            customer_id=people,
            lane=lanes,
            due_at=times,
        )


def _mails(before: Mapping[int, State], after: Mapping[int, State]) -> Iterator[Call]:
    old = {m.id: (s.person.id, m) for s in before.values() for m in s.mails.values()}
    new = {m.id: (s.person.id, m) for s in after.values() for m in s.mails.values()}
    born = [v for k, v in new.items() if k not in old]
    moved = [(old[k][1], v) for k, v in new.items() if k in old and old[k] != v]
    if born:
        yield _insert_mails(born)
    if moved:
        yield call("update_mails", rows=len(moved), **_mail_columns(moved))


def _insert_mails(born: Sequence[tuple[int, Mail]]) -> Call:
    mails = [m for _, m in born]
    return call(
        "insert_mails",
        id=[m.id for m in mails],
        customer_id=[p for p, _ in born],
        journey_id=[m.journey for m in mails],
        step=[m.step for m in mails],
        revision=[m.revision for m in mails],
        rule_id=[m.rule for m in mails],
        version_id=[m.version for m in mails],
        kind=[str(m.kind) for m in mails],
        lane=[m.lane for m in mails],
        variant=[m.variant for m in mails],
        template_version_id=[m.template_version for m in mails],
        provider_id=[m.provider for m in mails],
        state=[str(m.state) for m in mails],
        reason=[m.reason for m in mails],
        detail=[json_or_none(m.detail) for m in mails],
        due_at=[m.due_at for m in mails],
        not_before=[m.not_before for m in mails],
        not_after=[m.not_after for m in mails],
        created_at=[m.created_at for m in mails],
    )


def _mail_columns(moved: Sequence[tuple[Mail, tuple[int, Mail]]]) -> dict[str, Any]:
    mails = [m for _, (_, m) in moved]
    return {
        "id": [m.id for m in mails],
        "old_state": [str(was.state) for was, _ in moved],
        "customer_id": [p for _, (p, _) in moved],
        "variant": [m.variant for m in mails],
        "template_version_id": [m.template_version for m in mails],
        "state": [str(m.state) for m in mails],
        "reason": [m.reason for m in mails],
        "detail": [json_or_none(m.detail) for m in mails],
        "not_before": [m.not_before for m in mails],
        "attempt": [m.attempt for m in mails],
        "token": [m.token for m in mails],
        "address": [m.address for m in mails],
        "address_hash": [m.address_hash for m in mails],
        "provider_message_id": [m.provider_message_id for m in mails],
        "context": [json_or_none(m.context) for m in mails],
        "sending_at": [m.sending_at for m in mails],
        "settled_at": [m.settled_at for m in mails],
        "evidence_at": [m.evidence_at for m in mails],
        "redriven_at": [m.redriven_at for m in mails],
    }


def _cooldowns(
    before: Mapping[int, State], after: Mapping[int, State]
) -> Iterator[Call]:
    rows = [
        (person, rule, key, until)
        for person, state in sorted(after.items())
        for (rule, key), until in sorted(state.cooldowns.items())
        if person not in before or before[person].cooldowns.get((rule, key)) != until
    ]
    if rows:
        people, rules, keys, untils = database.columns(rows, 4)
        yield call(
            "write_cooldowns",
            customer_id=people,
            rule_id=rules,
            key=keys,
            until=untils,
        )


def text(value: object) -> str:
    """Return a value as JSON text."""
    return msgspec.json.encode(value).decode()


def json_or_none(value: object) -> bytes | None:
    """Return a value as JSON in UTF-8, None as None."""
    return None if value is None else msgspec.json.encode(value)
