"""Read what a decision needs of locked people, in a constant number of statements."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.deciding import database
from campaigns.deciding.database import Call, Result, Row, call
from campaigns.domain.conditions import PastEvent
from campaigns.domain.matching import PAST_LIMIT, Question
from campaigns.domain.people import EventRef, Journey, Mail, Past, Person, State
from campaigns.domain.states import Arm, JourneyState, Kind, MessageState


def lock_people(ids: Iterable[int]) -> Call:
    """Lock these customers in the order of their ids."""
    return call("lock_people", ids=sorted(set(ids)))


def locked_people(result: Result) -> list[Person]:
    """Return those that exist, of what lock_people returned."""
    return [person_of_row(row) for row in result.rows]


def read_states(people: Collection[int], *, now: datetime) -> tuple[Call, ...]:
    """Read what states_of needs, of locked people; their unsettled mails are locked.

    `now` may be earlier than the decision's: a cooldown that is over does no harm.
    """
    ids = sorted(people)
    return (
        call("journeys_watched", people=ids),
        call("mails_unsettled", people=ids),
        call("cooldowns", people=ids, now=now),
    )


def states_of(people: Sequence[Person], results: Sequence[Result]) -> dict[int, State]:
    """Return the states of locked people, of what read_states returned."""
    journeys: dict[int, dict[int, Journey]] = defaultdict(dict)
    mails: dict[int, dict[int, Mail]] = defaultdict(dict)
    cooldowns: dict[int, dict[tuple[int, str], datetime]] = defaultdict(dict)
    for row in results[0].rows:
        journeys[row[0]][row[1]] = _journey(row)
    for owner, *mail in results[1].rows:
        mails[owner][mail[1]] = mail_of(mail)
    for customer, rule, key, until in results[2].rows:
        cooldowns[customer][rule, key] = until
    return {
        p.id: State(
            person=p,
            journeys=journeys.get(p.id, {}),
            mails=mails.get(p.id, {}),
            cooldowns=cooldowns.get(p.id, {}),
        )
        for p in people
    }


def ended_journeys(ids: Iterable[int]) -> dict[int, Journey]:
    """Return journeys of locked people that events no longer matter to."""
    rows = database.run("journeys_by_id", ids=sorted(set(ids)))
    return {row[1]: _journey(row) for row in rows}


def load_past(
    asked: Mapping[int, Iterable[Question]], people: Mapping[int, Person]
) -> dict[int, Past]:
    """Answer questions about people's pasts; merged customers' events are theirs."""
    rows: list[tuple[int, int, str, datetime]] = []
    for person_id, wanted in asked.items():
        oldest: dict[str, datetime] = {}
        for question in wanted:
            since = oldest.get(question.name, question.since)
            oldest[question.name] = min(since, question.since)
        for member in people[person_id].remembered_ids:
            rows.extend((person_id, member, n, s) for n, s in sorted(oldest.items()))
    if not rows:
        return {}
    owners, members, names, sinces = database.columns(rows, 4)
    found: dict[int, list[PastEvent]] = defaultdict(list)
    for owner, event_id, event_name, occurred_at, properties, received in database.run(
        "past",
        person=owners,
        member=members,
        name=names,
        since=sinces,
        limit=PAST_LIMIT,
    ):
        found[owner].append(
            PastEvent(
                id=event_id,
                name=event_name,
                occurred_at=occurred_at,
                properties=properties,
                received_at=received,
            )
        )
    return {owner: Past(tuple(events)) for owner, events in found.items()}


def lock_mails(ids: Iterable[int]) -> Call:
    """Lock these mails in the order of their ids."""
    return call("mails_by_id", ids=sorted(set(ids)))


def locked_mails(result: Result) -> list[tuple[int, Mail]]:
    """Return (customer, mail) pairs, of what lock_mails returned."""
    return [(row[0], mail_of(row)) for row in result.rows]


def person_of_row(row: Row) -> Person:
    """Return the person of a row of lock_people or read_people."""
    return Person(
        id=row[0],
        born_as=row[1],
        created_at=row[2],
        bucket=row[3],
        user_id=row[4],
        email=row[5],
        email_said_at=row[6],
        email_trusted=row[7],
        traits=row[8],
        trait_times=row[9],
        time_zone=row[10],
        locale=row[11],
        merged_ids=tuple(row[12]),
        merged_into=row[13],
    )


def _journey(row: Row) -> Journey:
    return Journey(
        id=row[1],
        rule=row[2],
        version=row[3],
        key=row[4],
        exit_value=row[5],
        event=EventRef(row[6], row[7], row[8]),
        trigger=EventRef(row[9], row[10], row[11]),
        arm=Arm(row[12]),
        state=JourneyState(row[13]),
        step=row[14],
        revision=row[15],
        lane=row[16],
        wait_since=row[17],
        woken_by=row[18],
        held_due_at=row[19],
        started_at=row[20],
        ended_at=row[21],
        cause=row[22],
        goal_until=row[23],
        converted_at=row[24],
        converted_by=row[25],
        due_at=row[26],
    )


def mail_of(row: Sequence[Any]) -> Mail:
    """Return the mail of a row of mails_by_id or mails_unsettled."""
    return Mail(
        id=row[1],
        journey=row[2],
        step=row[3],
        revision=row[4],
        rule=row[5],
        version=row[6],
        kind=Kind(row[7]),
        lane=row[8],
        variant=row[9],
        template_version=row[10],
        provider=row[11] or 0,
        state=MessageState(row[12]),
        due_at=row[13],
        created_at=row[14],
        reason=row[15],
        detail=row[16],
        not_before=row[17],
        not_after=row[18],
        attempt=row[19],
        token=row[20],
        address=row[21],
        address_hash=None if row[22] is None else bytes(row[22]),
        provider_message_id=row[23],
        sending_at=row[24],
        settled_at=row[25],
        evidence_at=row[26],
        redriven_at=row[27],
    )
