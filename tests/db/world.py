"""A small world: published rules, people who do things, a clock that tests set.

Rows are made as publishing would leave them; everything after that goes through
the engine's own doors (record, advance_due, claim, prepare, begin, settle).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from campaigns.deciding import clock, marks, rulesets
from campaigns.domain.answers import Accepted
from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.ingest import partitions
from campaigns.ingest.record import record
from campaigns.journeys.advance import advance_due
from campaigns.models import (
    Company,
    Customer,
    Event,
    Journey,
    Message,
    Provider,
    Rule,
    RuleVersion,
    Sender,
    Source,
    Template,
    TemplateVersion,
    Timer,
    Topic,
)
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = "<p>Hello {{ customer.first_name | default: 'there' }}</p>"


def at(clock_time, *, day=0):
    """Return "HH:MM" of a day after that Monday, in UTC."""
    hours, minutes = clock_time.split(":")
    return MONDAY + timedelta(days=day, hours=int(hours), minutes=int(minutes))


@dataclass
class Clock:
    """Stands still until it is set."""

    time: datetime = field(default_factory=lambda: at("09:00"))

    def now(self):
        return self.time


def lasts(amount, unit="minutes"):
    return {"amount": amount, "unit": unit}


def step(**parts):
    """A step that sends its only variant at once, unless `parts` say otherwise."""
    made = {
        "delay": lasts(0),
        "wait_for": None,
        "window": None,
        "quiet": None,
        "variants": [{}],
        "expires_after": None,
    }
    return made | parts


OFFICE = {"weekdays": [0, 1, 2, 3, 4], "start": "09:00", "end": "17:00"}


class World:
    """One company with one provider, sender and topic, and two sources."""

    def __init__(self, still=None):
        for memory in (rulesets, marks, partitions):
            memory.forget()
        self.clock = still
        self.rules: dict[str, int] = {}
        self._count = 0
        Company.objects.update_or_create(
            pk=1,
            defaults={
                "name": "Acme",
                "time_zone": "UTC",
                "cap_messages": None,
                "cap_days": 7,
            },
        )
        self.provider = Provider.objects.create(
            name="mail", rate_per_s=1e6, burst=10**6, tokens=10**6
        )
        self.sender = Sender.objects.create(
            name="shop",
            from_name="Shop",
            from_email="shop@acme.example",
            company_name="Acme",
            postal_address="1 Main Street",
            provider=self.provider,
        )
        self.topic = Topic.objects.create(slug="news", name="News")
        self.secret = self._source("backend", Trust.SECRET)
        self.public = self._source("browser", Trust.PUBLIC)

    def _source(self, name, trust):
        row = Source.objects.create(name=name, trust=trust)
        return SourceRef(id=row.pk, name=name, trust=trust)

    # --- Rules ----------------------------------------------------------------
    def template(self, html=PLAIN, subject="Hello"):
        self._count += 1
        template = Template.objects.create(
            name=f"t{self._count}", subject=subject, html=html
        )
        version = TemplateVersion.objects.create(
            template=template,
            number=1,
            subject=subject,
            html=html,
            published_at=MONDAY,
        )
        return version.pk

    def rule(self, name, *triggers, **parts):
        """Publish a rule; `parts` replace those of a plain marketing document."""
        kind = parts.get("kind", "marketing")
        marketing = kind == "marketing"
        rule = Rule.objects.create(
            name=name,
            kind=kind,
            sender=self.sender,
            topic=self.topic if marketing else None,
            trigger_events=list(triggers),
            salt=name,
        )
        document = {
            "schema": 1,
            "rule": rule.pk,
            "version": 1,
            "name": name,
            "kind": kind,
            "topic": self.topic.pk if marketing else None,
            "topic_opt_in": False,
            "sender": self.sender.pk,
            "salt": name,
            "trigger": {
                "events": list(triggers),
                "sources": None,
                "public": parts.pop("public", False),
            },
            "condition": None,
            "cooldown": None,
            "exit": None,
            "retrigger": "ignore",
            "freshness": None,
            "holdout": 0,
            "goal": None,
        } | parts
        document["steps"] = [self._step(s) for s in parts.get("steps", [step()])]
        version = RuleVersion.objects.create(
            rule=rule, number=1, document=document, published_at=MONDAY
        )
        rule.current, rule.status = version, "active"
        rule.save()
        rulesets.bump()
        self.rules[name] = rule.pk
        return rule.pk

    def _step(self, made: Mapping):
        variants = [
            {
                "name": "A",
                "condition": None,
                "weight": 1,
                "template_version": 0,
                "fallback": False,
            }
            | dict(v)
            for v in made["variants"]
        ]
        for variant in variants:
            variant["template_version"] = variant["template_version"] or self.template()
        return {**made, "variants": variants}

    # --- What people do -------------------------------------------------------
    def event(self, kind=EventType.TRACK, name="", **values):
        """Make an event that happens now, with an id of its own if none is given."""
        self._count += 1
        values.setdefault("message_id", f"event {self._count}")
        if "occurred_at" not in values:
            values["occurred_at"] = clock.now()
        return IncomingEvent(type=kind, name=name, **values)

    def post(self, *events, public=False):
        return record(list(events), source=self.public if public else self.secret)

    def identify(self, user, **traits):
        how = {
            k: traits.pop(k)
            for k in ("occurred_at", "anonymous_id", "message_id")
            if k in traits
        }
        public = traits.pop("public", False)
        event = self.event(EventType.IDENTIFY, user_id=user, traits=traits, **how)
        return self.post(event, public=public)

    def known(self, user, **traits):
        """Make somebody known by a secret source, with an address."""
        return self.identify(user, email=f"{user}@example.com", **traits)

    def does(self, user, name, *, public=False, **values):
        """Post what a user (None: only an anonymous id) did."""
        return self.post(self.event(name=name, user_id=user, **values), public=public)

    # --- What the cluster does ------------------------------------------------
    def work(self):
        """Advance and send until nothing is due now; the provider takes all."""
        while advance_due() + self._send():
            pass

    def _send(self):
        claims = claim(limit=8)
        for sent in begin(claims, prepare(claims)) if claims else ():
            settle(sent.customer, sent.mail, sent.token, Accepted(f"p{sent.mail}"))
        return len(claims)

    def work_at(self, moment):
        self.clock.time = moment
        self.work()

    # --- What is written ------------------------------------------------------
    def _rule_name(self, pk):
        return next(name for name, key in self.rules.items() if key == pk)

    def journeys(self):
        """Return (rule, key, state, why it ended) of all, by start."""
        return [
            (self._rule_name(j.rule_id), j.key, j.state, (j.cause or {}).get("reason"))
            for j in Journey.objects.order_by("started_at", "id")
        ]

    def timers(self):
        """Return (rule, key, due_at) of all, by time."""
        rows = Timer.objects.select_related("journey").order_by("due_at", "pk")
        return [
            (self._rule_name(t.journey.rule_id), t.journey.key, t.due_at) for t in rows
        ]

    def mails(self):
        """Return (rule, step, revision, state, reason) of all, by making."""
        return [
            (self._rule_name(m.rule_id), m.step, m.revision, m.state, m.reason)
            for m in Message.objects.order_by("created_at", "id")
        ]

    def decisions(self, message_id=None):
        """Return (event's message id, rule, reason, detail), as events arrived.

        Ids of events in a detail are given as their message ids.
        """
        events = list(Event.objects.order_by("received_at", "id"))
        names = {e.pk: e.message_id for e in events}
        return [
            (
                e.message_id,
                self._rule_name(d["rule"]),
                d["reason"],
                _named(d.get("detail", {}), names),
            )
            for e in events
            if message_id in (None, e.message_id)
            for d in e.decisions or []
        ]

    def cause(self):
        """Return why the only journey ended, events by their message ids."""
        names = dict(Event.objects.values_list("pk", "message_id"))
        return _named(Journey.objects.get().cause, names)

    def customer(self, user):
        return Customer.objects.get(user_id=user, merged_into=None)


def _named(detail, names):
    return {k: names.get(v, v) if k == "event" else v for k, v in detail.items()}
