"""Which addresses must not be mailed, and what people chose: written and read.

A suppression holds the lock of its address, which the gate takes too, so a
mail's gate either sees it or has committed `sending` before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from campaigns.deciding import database, load
from campaigns.deciding.addresses import address_hash as hash_of
from campaigns.deciding.database import Call, Result, call
from campaigns.deciding.transaction import Decision, Restart, decide, roots
from campaigns.domain.addresses import normalise
from campaigns.domain.people import Person
from campaigns.domain.states import SuppressionReason
from campaigns.models import Suppression

MAX_ORIGIN: Final = 60


class Permission(NamedTuple):
    """What stops or allows mail to one customer, at one address, about one topic."""

    suppressed: frozenset[SuppressionReason]
    subscribed: bool | None
    consented: bool
    opt_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One reason not to mail one address; `topic` None means about anything."""

    address_hash: bytes
    reason: SuppressionReason
    origin: str
    address: str = ""
    topic: int | None = None
    ends_at: datetime | None = None

    @property
    def key(self) -> tuple[bytes, str, int]:
        """What makes two of them the same."""
        return (self.address_hash, str(self.reason), self.topic or 0)


def suppress(
    address: str,
    *,
    reason: SuppressionReason,
    origin: str,
    topic: int | None = None,
    ends_at: datetime | None = None,
) -> bool:
    """Suppress an address; return False if it was suppressed so already.

    From the commit on no mail to it begins, whoever has the address then.
    """
    block = Block(
        address_hash=hash_of(address),
        address=normalise(address),
        reason=reason,
        origin=origin,
        topic=topic,
        ends_at=ends_at,
    )
    return decide(lambda d: suppress_within(d, [block])) > 0


def suppress_within(decision: Decision, blocks: Iterable[Block]) -> int:
    """Suppress addresses in a decision that has locked its people; return how many.

    Takes the addresses' locks, sorted; those suppressed already are not counted.
    """
    wanted = [block for _, block in sorted({b.key: b for b in blocks}.items())]
    if not wanted:
        return 0
    for address in sorted({b.address_hash for b in wanted}):
        decision.lock_address(address)
    done = database.run(
        "suppress",
        address_hash=[b.address_hash for b in wanted],
        address=[b.address for b in wanted],
        topic_id=[b.topic for b in wanted],
        reason=[str(b.reason) for b in wanted],
        origin=[b.origin[:200] for b in wanted],
        ends_at=[b.ends_at for b in wanted],
        now=decision.now,
    )
    for row in sorted(done, key=lambda r: (bytes(r[0]), r[1], r[2] or 0)):
        _note(decision, "suppress", row)
    return len(done)


def lift(suppression_id: int, *, by: str, why: str) -> bool:
    """Lift one suppression, keeping who did it and why; False if it was lifted.

    Raises ValueError without a reason: this makes somebody mailable again.
    """
    if not why.strip():
        raise ValueError("Lifting a suppression needs a reason.")
    found = Suppression.objects.filter(pk=suppression_id).first()
    if found is None:
        return False
    address = bytes(found.address_hash)

    def work(decision: Decision) -> bool:
        decision.lock_address(address)
        rows = database.run(
            "lift_suppression",
            id=suppression_id,
            by=by[:150],
            why=why.strip(),
            now=decision.now,
        )
        for row in rows:
            _note(decision, "lift", row)
        return bool(rows)

    return decide(work)


def unsubscribe(
    customer_id: int,
    address_hash: bytes,
    topic: int | None,
    *,
    origin: str,
    wording: str,
    message: int | None = None,
) -> bool:
    """Keep a refusal of a topic (None: of everything); False if it was kept before.

    The customer's choice, its proof, and a suppression of the address that was
    mailed, for the next person who has it; `message` is the mail that led to it,
    which shows so from now on. A topic that exists no more means
    everything: whoever refuses must not be mailed again under another name.
    """

    def work(decision: Decision) -> bool:
        person = _lock_person(decision, customer_id)
        meant = topic if topic is not None and _topics(topic) else None
        known = person.email if person and person.email else ""
        block = Block(
            address_hash=address_hash,
            address=known if known and hash_of(known) == address_hash else "",
            reason=SuppressionReason.UNSUBSCRIBED,
            origin=origin,
            topic=meant,
        )
        blocked = suppress_within(decision, [block])
        if person is None:
            chosen = 0
        elif meant is None:
            chosen = refuse_within(decision, person.id, origin=origin, wording=wording)
        else:
            proof = (origin, wording)
            chosen = _choose(
                decision, person.id, [meant], subscribed=False, proof=proof
            )
        if message is not None:
            database.run(
                "note_unsubscribed",
                id=message,
                address_hash=address_hash,
                now=decision.now,
            )
        return blocked + chosen > 0

    return decide(work)


def refuse_within(decision: Decision, person: int, *, origin: str, wording: str) -> int:
    """Keep a locked customer's refusal of everything; return how many topics changed.

    Topics made later are refused too. The address is suppressed by `suppress_within`.
    """
    database.run(  # besides, as no list of topics holds those to come
        "refuse_all",
        customer=person,
        origin=origin[:MAX_ORIGIN],
        wording=wording,
        now=decision.now,
    )
    return _choose(
        decision, person, _topics(None), subscribed=False, proof=(origin, wording)
    )


def people_with(addresses: Iterable[str]) -> dict[str, list[int]]:
    """Return who has these addresses today, by normal form. Takes no locks."""
    found: dict[str, list[int]] = {}
    wanted = sorted({normalise(address) for address in addresses})
    if wanted:
        for person, email in database.run("people_by_address", addresses=wanted):
            found.setdefault(email, []).append(person)
    return found


def subscribe(customer_id: int, topic: int, *, origin: str, wording: str) -> bool:
    """Keep a customer's consent to a topic; False if it was kept before.

    It ends the address's own refusal of that topic. A refusal of everything,
    a bounce or a complaint stays until somebody lifts it, with a reason.
    """

    def work(decision: Decision) -> bool:
        person = _lock_person(decision, customer_id)
        topics = _topics(topic)
        if person is None or not topics:
            return False
        if person.email:
            _lift_unsubscribed(decision, hash_of(person.email), topic, why=origin)
        chosen = _choose(
            decision, person.id, topics, subscribed=True, proof=(origin, wording)
        )
        return chosen > 0

    return decide(work)


def read_permissions(
    pairs: Sequence[tuple[int, bytes, int | None]], *, now: datetime
) -> Call:
    """Read what stops or allows mail, for each (customer, address hash, topic).

    To be asked under the locks.
    """
    return call(
        "permissions",
        customer_id=[customer for customer, _, _ in pairs],
        address_hash=[address for _, address, _ in pairs],
        topic_id=[topic for _, _, topic in pairs],
        now=now,
    )


def permissions_of(result: Result) -> list[Permission]:
    """Return, in the order asked, what read_permissions returned.

    The reasons in force against the address, the customer's own choice about the
    topic (None: none), whether their newest word about it is a consent, and whether
    the topic needs one today.
    """
    return [
        Permission(
            frozenset(map(SuppressionReason, reasons)),
            subscribed,
            bool(granted),
            opt_in,
        )
        for reasons, subscribed, granted, opt_in in result.rows
    ]


def _lock_person(decision: Decision, customer_id: int) -> Person | None:
    """Lock whom the customer is today; None if they were erased."""
    found = roots([customer_id])
    if not found:
        return None
    people = load.locked_people(decision.waiting(load.lock_people(found.values()))[0])
    if not people or people[0].merged_into is not None:
        raise Restart
    return people[0]


def _topics(topic: int | None) -> list[int]:
    return [row[0] for row in database.run("topics_meant", topic=topic)]


def _choose(
    decision: Decision,
    person: int,
    topics: Sequence[int],
    *,
    subscribed: bool,
    proof: tuple[str, str],
) -> int:
    """Write a choice with its proof (origin, wording); return how many changed."""
    origin, wording = proof
    rows = database.run(
        "choose_topics",
        customer=person,
        topics=topics,
        subscribed=subscribed,
        origin=origin[:MAX_ORIGIN],
        wording=wording,
        now=decision.now,
    )
    for topic in sorted(row[0] for row in rows):
        said = {"person": person, "topic": topic, "subscribed": subscribed}
        decision.note("choose", said)
    return len(rows)


def _lift_unsubscribed(
    decision: Decision, address_hash: bytes, topic: int, *, why: str
) -> None:
    decision.lock_address(address_hash)
    for row in database.run(
        "lift_unsubscribed",
        address_hash=address_hash,
        topic=topic,
        why=f"subscribed again: {why}",
        now=decision.now,
    ):
        _note(decision, "lift", row)


def _note(decision: Decision, kind: str, row: database.Row) -> None:
    address, reason, topic = row
    payload = {"hash": bytes(address).hex(), "reason": reason, "topic": topic}
    decision.note(kind, payload)
