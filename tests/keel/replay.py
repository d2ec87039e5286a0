"""Simulate the order that a live run recorded, and show both in the same words."""

from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from operator import itemgetter

from campaigns.deciding.addresses import address_hash
from campaigns.domain.answers import Accepted, Ambiguous, Refusal, Refused
from campaigns.domain.documents import parse_document
from campaigns.domain.people import State
from campaigns.domain.ruleset import Policy, Ruleset, Version
from campaigns.domain.simulate import (
    Choose,
    Due,
    Evidence,
    Gate,
    Lift,
    Post,
    Rescue,
    SetRules,
    Settle,
    Suppress,
    World,
)
from campaigns.domain.states import RuleStatus, SuppressionReason
from campaigns.domain.stopping import resume, stop
from campaigns.models import (
    Cooldown,
    Customer,
    Event,
    Identity,
    Journey,
    Message,
    RecordedOrder,
    RuleVersion,
    Timer,
)
from tests.keel.histories import ADDRESSES


def first_ruleset(setting):
    versions = {
        v.pk: Version(
            id=v.pk, rule=v.rule_id, document=parse_document(v.document), provider=0
        )
        for v in RuleVersion.objects.all()
    }
    return Ruleset(
        number=0,
        versions=versions,
        current={v.rule: v.id for v in versions.values()},
        statuses=dict.fromkeys(setting.rules, RuleStatus.ACTIVE),
        policy=Policy(time_zone="UTC", cap_messages=2, cap_days=1, speed=1),
    )


class Names:
    """Live ids as names that the simulation has too."""

    def __init__(self):
        self.event = {
            e.pk: (e.source_id, e.message_id)
            for e in Event.objects.only("pk", "source_id", "message_id")
        }
        self.journey = {
            j.pk: (j.rule_id, self.event[j.event_id]) for j in Journey.objects.all()
        }
        self.mail = {
            m.pk: (self.journey[m.journey_id], m.step, m.revision)
            for m in Message.objects.all()
        }
        self.born = dict(Customer.objects.values_list("pk", "born_as"))


class Simulated:
    """A world fed with a recorded order."""

    def __init__(self, setting, posted):
        self.setting = setting
        self.names = Names()
        self.posted = posted
        self.world = World(rules=first_ruleset(setting))
        self.hashes = {address_hash(a).hex(): a for a in ADDRESSES}
        self.seen = set()

    def replay(self):
        for row in RecordedOrder.objects.order_by("ordinal"):
            getattr(self, f"_{row.kind}")(row.payload, row.now)
        return self.world

    def _events(self, payload, now):
        sources = {s.id: s for s in (self.setting.source, self.setting.public)}
        for source, some in groupby(payload["events"], key=itemgetter(0)):
            names = [self.names.event[event] for _, event in some]
            events = tuple(self.posted[name] for name in names)
            self.world.feed(Post(events, sources[source], now))

    def _due(self, payload, now):
        ours = self.journeys()
        due = tuple(ours[self.names.journey[i]].id for i in payload["journeys"])
        told = self.world.due(now)
        assert set(due) <= set(told), "live advanced a journey that was not due"
        self.world.feed(Due(now, due))

    def _gate(self, payload, now):
        ours = self.mails()
        problems = {}
        mails = []
        for entry in payload["mails"]:
            mail = ours[self.names.mail[entry["mail"]]]
            mails.append(mail.id)
            problems[mail.id] = entry["problem"]
            self.seen.add("moved") if entry["moved"] else None
        moved = {
            ours[self.names.mail[e["mail"]]].id for e in payload["mails"] if e["moved"]
        }
        self.world.problem = lambda mail, _state: problems.get(mail.id, "")
        self.world.moved = lambda mail: mail.id in moved
        self.world.feed(Gate(now, tuple(mails)))

    def _settle(self, payload, now):
        mail = self.mails()[self.names.mail[payload["mail"]]]
        self.world.feed(Settle(now, (mail.id,), _answer(payload["answer"])))

    def _suppress(self, payload, now):
        address = self.hashes[payload["hash"]]
        reason = SuppressionReason(payload["reason"])
        self.world.feed(Suppress(address, reason, payload["topic"], now))

    def _lift(self, payload, now):
        address = self.hashes[payload["hash"]]
        reason = SuppressionReason(payload["reason"])
        self.world.feed(Lift(address, reason, payload["topic"], now))

    def _rescue(self, payload, now):
        self.world.feed(Rescue(now, self._mails_of(payload)))

    def _evidence(self, payload, now):
        self.world.feed(Evidence(now, self._mails_of(payload)))

    def _mails_of(self, payload):
        ours = self.mails()
        return tuple(ours[self.names.mail[i]].id for i in payload["mails"])

    def _choose(self, payload, now):
        born = self.names.born[payload["person"]]
        person = next(
            s.person.id
            for s in self.world.intake.states.values()
            if s.person.born_as == born
        )
        self.world.feed(Choose(person, payload["topic"], payload["subscribed"], now))

    def _rules(self, payload, now):
        rules = self.world.rules
        status = RuleStatus(payload["status"])
        statuses = {**rules.statuses, payload["rule"]: status}
        self.seen.add(payload["status"])
        self.world.feed(SetRules(replace(rules, statuses=statuses), now))

    def _resume(self, payload, now):
        for state in self._owners(payload):
            self.world.put(
                resume(state, self.world.rules, rule=payload["rule"], now=now)
            )

    def _archive(self, payload, now):
        for state in self._owners(payload):
            cause = {"reason": "rule_archived"}
            self.world.put(stop(state, rule=payload["rule"], cause=cause, now=now))

    def _owners(self, payload):
        ours = self.journeys()
        ids = {ours[self.names.journey[i]].id for i in payload["journeys"]}
        return [s for s in self.world.people() if ids & set(s.journeys)]

    def journeys(self):
        """Journeys by name."""
        return {
            (j.rule, self.event_name(j.event.id)): j
            for s in self.world.people()
            for j in s.journeys.values()
        }

    def mails(self):
        """Mails by name."""
        return {
            (
                (j.rule, self.event_name(j.event.id)),
                m.step,
                m.revision,
            ): m
            for s in self.world.people()
            for m in s.mails.values()
            if (j := s.journeys[m.journey])
        }

    def event_name(self, event_id):
        stored = self.world.stored[event_id]
        return (stored.source.id, stored.event.message_id)


def _answer(said):
    match said["kind"]:
        case "accepted":
            return Accepted(said["provider_id"])
        case "ambiguous":
            return Ambiguous(said["detail"], said["status"])
        case _:
            after = said["retry_after_s"]
            return Refused(
                Refusal(said["refusal"]),
                "",
                said["status"],
                None if after is None else timedelta(seconds=after),
            )


def _cause(cause, event_name):
    if cause is None:
        return None
    kept = {k: v for k, v in cause.items() if k in ("reason", "name", "outcome")}
    if "event" in cause:
        kept["event"] = event_name(cause["event"])
    return kept


def simulated_rows(simulated):
    """What the simulation ended with."""
    world = simulated.world
    name = simulated.event_name
    people, journeys, mails, cooldowns = {}, {}, {}, {}
    for state in world.people():
        person = state.person
        people[person.born_as] = _person(person)
        for j in state.journeys.values():
            journeys[j.rule, name(j.event.id)] = {
                "person": person.born_as,
                "version": j.version,
                "key": j.key,
                "exit_value": j.exit_value,
                "trigger": name(j.trigger.id),
                "arm": str(j.arm),
                "state": str(j.state),
                "step": j.step,
                "revision": j.revision,
                "due_at": j.due_at,
                "held_due_at": j.held_due_at,
                "wait_since": j.wait_since,
                "woken_by": None if j.woken_by is None else name(j.woken_by),
                "started_at": j.started_at,
                "ended_at": j.ended_at,
                "cause": _cause(j.cause, name),
                "goal_until": j.goal_until,
                "converted_at": j.converted_at,
            }
        for m in state.mails.values():
            j = state.journeys[m.journey]
            mails[(j.rule, name(j.event.id)), m.step, m.revision] = {
                "person": person.born_as,
                "state": str(m.state),
                "reason": m.reason,
                "variant": m.variant,
                "due_at": m.due_at,
                "not_before": m.not_before,
                "not_after": m.not_after,
                "created_at": m.created_at,
                "sending_at": m.sending_at,
                "settled_at": m.settled_at,
                "address": m.address if m.sending_at else "",
            }
        for (rule, key), until in state.cooldowns.items():
            cooldowns[person.born_as, rule, key] = until
    return {
        "people": people,
        "identities": {
            (int(n.namespace), n.value): world.intake.states[p].person.born_as
            for n, p in world.intake.identities.items()
        },
        "journeys": journeys,
        "mails": mails,
        "cooldowns": cooldowns,
        "decisions": {
            name(s.ref.id): [(d.rule, str(d.reason)) for d in s.decisions]
            for s in world.stored.values()
        },
        "owners": {
            name(s.ref.id): _root_name(world, s.person) for s in world.stored.values()
        },
    }


def _root_name(world, person):
    state: State = world.intake.states[person]
    while state.person.merged_into is not None:
        state = world.intake.states[state.person.merged_into]
    return state.person.born_as


def _person(person):
    return {
        "user_id": person.user_id,
        "email": person.email,
        "trusted": person.email_trusted,
        "said_at": person.email_said_at,
        "traits": dict(person.traits),
        "times": dict(person.trait_times),
        "zone": person.time_zone,
        "created_at": person.created_at,
        "bucket": person.bucket,
    }


def live_rows(names, now):
    """What the database ended with, in the same form."""
    customers = {c.pk: c for c in Customer.objects.all()}
    roots = {}
    for pk, customer in customers.items():
        root = customer
        while root.merged_into is not None:
            root = customers[root.merged_into]
        roots[pk] = root.born_as
    due = dict(Timer.objects.values_list("pk", "due_at"))
    return {
        "people": {
            c.born_as: {
                "user_id": c.user_id,
                "email": c.email,
                "trusted": c.email_trusted,
                "said_at": c.email_said_at,
                "traits": c.traits,
                "times": c.trait_times,
                "zone": c.time_zone,
                "created_at": c.created_at,
                "bucket": c.bucket,
            }
            for c in customers.values()
            if c.merged_into is None
        },
        "identities": {
            (i.namespace, i.value): roots[i.customer_id] for i in Identity.objects.all()
        },
        "journeys": {
            names.journey[j.pk]: {
                "person": roots[j.customer_id],
                "version": j.version_id,
                "key": j.key,
                "exit_value": j.exit_value,
                "trigger": names.event[j.trigger_id],
                "arm": j.arm,
                "state": j.state,
                "step": j.step,
                "revision": j.revision,
                "due_at": due.get(j.pk),
                "held_due_at": j.held_due_at,
                "wait_since": j.wait_since,
                "woken_by": None if j.woken_by is None else names.event[j.woken_by],
                "started_at": j.started_at,
                "ended_at": j.ended_at,
                "cause": _cause(j.cause, names.event.__getitem__),
                "goal_until": j.goal_until,
                "converted_at": j.converted_at,
            }
            for j in Journey.objects.all()
        },
        "mails": {
            names.mail[m.pk]: {
                "person": roots[m.customer_id],
                "state": "queued" if m.state == "claimed" else m.state,
                "reason": m.reason,
                "variant": m.variant,
                "due_at": m.due_at,
                "not_before": m.not_before,
                "not_after": m.not_after,
                "created_at": m.created_at,
                "sending_at": m.sending_at,
                "settled_at": m.settled_at,
                "address": m.address if m.sending_at else "",
            }
            for m in Message.objects.all()
        },
        "cooldowns": {
            (roots[c.customer_id], c.rule_id, c.key): c.until
            for c in Cooldown.objects.all()
            if c.until > now
        },
        "decisions": {
            names.event[e.pk]: [(d["rule"], d["reason"]) for d in e.decisions or []]
            for e in Event.objects.all()
        },
        "owners": {
            names.event[e.pk]: roots[e.customer_id] for e in Event.objects.all()
        },
    }


def differences(live, simulated, now):
    """Say, row by row, where two ends differ."""
    simulated["cooldowns"] = {
        k: v for k, v in simulated["cooldowns"].items() if v > now
    }
    found = []
    for table, rows in live.items():
        others = simulated[table]
        for key in sorted({*rows, *others}, key=repr):
            if rows.get(key) != others.get(key):
                found.append(f"{table} {key}: {_apart(rows.get(key), others.get(key))}")
    return found


def _apart(live, simulated):
    if not isinstance(live, dict) or not isinstance(simulated, dict):
        return f"live {live!r}, simulated {simulated!r}"
    return ", ".join(
        f"{name}: live {live[name]!r}, simulated {simulated[name]!r}"
        for name in live
        if live[name] != simulated[name]
    )
