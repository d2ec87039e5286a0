"""The gate: under the locks, look once more, and commit `sending` for what may go."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from campaigns.deciding import database, load
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.database import Call, Result, call
from campaigns.deciding.suppressing import permissions_of, read_permissions
from campaigns.deciding.transaction import Decision, decide, owners_of
from campaigns.deciding.triggers import read_triggers, triggers_of
from campaigns.domain.gate import GateFacts, Go, Verdict, apply_verdict, gate
from campaigns.domain.people import Journey, Mail, State
from campaigns.domain.states import Kind, MessageState
from campaigns.domain.steps import Trigger
from campaigns.providers.base import Provider
from campaigns.sending.claim import BEGIN_MARGIN_S, Claim
from campaigns.sending.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Begun:
    """A mail committed as `sending`: hand it over now, at most once."""

    mail: int
    token: UUID
    customer: int
    provider: int
    account: Provider
    packed: bytes


def begin(claims: Sequence[Claim], prepared: Mapping[int, Prepared]) -> list[Begun]:
    """Decide about claimed mails; return those that must now be handed over.

    When this returns, `sending` is committed for each: a crash from here on
    leaves `unknown`, never a second mail.
    """
    return decide(
        lambda decision: _begin(decision, claims, prepared),
        stage="gate",
        first=lambda: [owners_of(c.customer for c in claims)],
    )


def _begin(
    decision: Decision, claims: Sequence[Claim], prepared: Mapping[int, Prepared]
) -> list[Begun]:
    ours = _lock(decision, claims)
    facts = _facts(decision, ours, prepared)
    begun: list[Begun] = []
    noted: list[dict[str, object]] = []
    for person, mail in ours:
        state = decision.states[person]
        known = facts.of(mail, state)
        verdict = gate(mail, state, known, decision.rules, now=decision.now)
        made = prepared[mail.id]
        addressed = _addressed(mail, state, made, verdict)
        state = state.with_mail(addressed)
        decision.states[person] = apply_verdict(
            state, addressed, verdict, decision.rules, now=decision.now
        )
        noted.append(
            {"mail": mail.id, "problem": known.problem, "moved": known.context_moved}
        )
        if isinstance(verdict, Go) and (leaves := _begun(person, mail, made)):
            facts.count(addressed)
            begun.append(leaves)
    _open_attempts(decision, begun, {mail.id: mail for _, mail in ours})
    if noted:
        decision.note("gate", {"mails": noted})
    return begun


def _begun(person: int, mail: Mail, made: Prepared) -> Begun | None:
    if mail.token is None or made.packed is None or made.account is None:
        return None
    return Begun(mail.id, mail.token, person, mail.provider, made.account, made.packed)


def _lock(decision: Decision, claims: Sequence[Claim]) -> list[tuple[int, Mail]]:
    """Lock people, addresses, mails, in this order; return what is still ours."""
    owners: dict[int, int] = dict(decision.first[0].rows)
    leases = call(
        "leases_left",
        ids=[c.id for c in claims],
        tokens=[c.token for c in claims],
        margin_s=BEGIN_MARGIN_S,
    )
    mails = load.lock_mails(c.id for c in claims)
    locked, left = decision.lock(
        owners.values(), addresses=address_hash, then=[mails, leases]
    )
    found = decision.take_mails(locked)
    alive = {row[0] for row in left.rows}
    ours = []
    for claim in claims:
        if claim.id not in alive or claim.id not in found:
            continue
        person, mail = found[claim.id]
        if mail.state is MessageState.CLAIMED and mail.token == claim.token:
            ours.append((person, mail))
    return ours


@dataclass(slots=True)
class _Facts:
    """What the gate reads under the locks, for a whole batch."""

    triggers: Mapping[int, Trigger]
    permissions: Mapping[int, GateFacts]
    capped: Counter[bytes]
    prepared: Mapping[int, Prepared]
    former: Mapping[int, Journey]

    def of(self, mail: Mail, state: State) -> GateFacts:
        """Return the facts of one mail."""
        made = self.prepared[mail.id]
        key = address_hash(state.person.email) if state.person.email else b""
        journey = state.journeys.get(mail.journey or 0)
        return replace(
            self.permissions[mail.id],
            trigger=self.triggers.get(
                journey.trigger.id if journey else 0, made.trigger
            ),
            capped=self.capped[key],
            problem=made.problem,
            payload_problem=made.payload_problem,
            former=self.former.get(mail.journey or 0),
            connected=made.account is not None,
            context_moved=not made.agrees(mail, state)
            or not (made.packed or made.problem or made.payload_problem),
        )

    def count(self, mail: Mail) -> None:
        """Count a mail of this batch, for the cap of those behind it."""
        if mail.kind is Kind.MARKETING and mail.address_hash is not None:
            self.capped[mail.address_hash] += 1


def _facts(
    decision: Decision,
    ours: Sequence[tuple[int, Mail]],
    prepared: Mapping[int, Prepared],
) -> _Facts:
    journeys = [
        (person, mail, j)
        for person, mail in ours
        if (j := decision.states[person].journeys.get(mail.journey or 0))
    ]
    refs = [j.trigger for _, _, j in journeys]
    triggers, permissions, *capped = database.run_all(
        [
            read_triggers(refs),
            _read_permissions(decision, ours),
            *_read_capped(decision, ours),
        ]
    )
    former = _former(decision, ours)
    leaving = [(p, j) for p, mail, j in journeys if j.is_open or mail.redriven_at]
    leaving += [(p, former[m.journey]) for p, m in ours if m.journey in former]
    decision.ask_conditions(
        ((person, mail.version) for person, mail in ours), leaving=leaving
    )
    return _Facts(
        triggers={k: r.trigger for k, r in triggers_of(refs, triggers).items()},
        permissions=_permissions(ours, permissions),
        capped=Counter({bytes(row[0]): row[1] for r in capped for row in r.rows}),
        prepared=prepared,
        former=former,
    )


def _former(decision: Decision, ours: Sequence[tuple[int, Mail]]) -> dict[int, Journey]:
    """Return the journeys of mails that are sent once more, if they are not loaded."""
    wanted = {
        mail.journey
        for person, mail in ours
        if mail.redriven_at and mail.journey
        if mail.journey not in decision.states[person].journeys
    }
    return load.ended_journeys(wanted) if wanted else {}


def _read_permissions(decision: Decision, ours: Sequence[tuple[int, Mail]]) -> Call:
    asked = []
    for person, mail in ours:
        email = decision.states[person].person.email
        version = decision.rules.versions.get(mail.version or 0)
        topic = version.document.topic if version else None
        asked.append((person, address_hash(email) if email else b"", topic))
    return read_permissions(asked, now=decision.now)


def _permissions(
    ours: Sequence[tuple[int, Mail]], result: Result
) -> dict[int, GateFacts]:
    answers = permissions_of(result)
    return {
        mail.id: GateFacts(
            trigger=Trigger("", {}, {}),
            suppressed=said.suppressed,
            subscribed=said.subscribed,
            consented=said.consented,
            opt_in=said.opt_in,
        )
        for (_, mail), said in zip(ours, answers, strict=True)
    }


def _read_capped(
    decision: Decision, ours: Sequence[tuple[int, Mail]]
) -> tuple[Call, ...]:
    policy = decision.rules.policy
    emails = {decision.states[person].person.email for person, _ in ours}
    hashes = [address_hash(e) for e in emails if e]
    if policy.cap_messages is None or not hashes:
        return ()
    since = decision.now - timedelta(days=policy.cap_days)
    return (call("capped", hashes=hashes, since=since),)


def _addressed(mail: Mail, state: State, made: Prepared, verdict: Verdict) -> Mail:
    """Return the mail with the address and the context that it leaves with."""
    email = state.person.email
    if not isinstance(verdict, Go) or not email:
        return mail
    return replace(
        mail, address=email, address_hash=address_hash(email), context=made.context
    )


def _open_attempts(
    decision: Decision, begun: Sequence[Begun], mails: Mapping[int, Mail]
) -> None:
    if begun:
        decision.later(
            "insert_attempts",
            now=decision.now,
            id=[b.token for b in begun],
            message_id=[b.mail for b in begun],
            number=[mails[b.mail].attempt for b in begun],
            provider_id=[b.provider for b in begun],
        )
