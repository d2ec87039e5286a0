"""Run a history on PostgreSQL, through the engine's own functions."""

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from campaigns.deciding import marks, rulesets
from campaigns.deciding.suppressing import lift, suppress, unsubscribe
from campaigns.domain.answers import Accepted, Ambiguous, Refusal, Refused
from campaigns.domain.events import SourceRef, Trust
from campaigns.domain.states import SuppressionReason
from campaigns.feedback.apply import drain
from campaigns.ingest import partitions
from campaigns.ingest.record import record
from campaigns.journeys import publishing
from campaigns.journeys.advance import advance_due
from campaigns.models import (
    Attempt,
    Company,
    Customer,
    IngestState,
    Provider,
    Rule,
    RuleVersion,
    Sender,
    Source,
    Suppression,
    Template,
    TemplateVersion,
    Topic,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.sending.claim import claim
from campaigns.sending.gate import Begun, begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import rescue, settle
from tests.db.crashing import let_leases_end
from tests.keel.histories import START, USERS, Do, Pass, Post

ANSWERS = (
    Accepted("p1"),
    Accepted("p2"),
    Accepted("p3"),
    Ambiguous("no answer"),
    Refused(Refusal.RATE_LIMITED, "slower", 429, timedelta(seconds=30)),
    Refused(Refusal.INVALID, "bad", 400),
)
TABLES = [
    "event",
    "customer",
    "identity",
    "journey",
    "timer",
    "message",
    "attempt",
    "cooldown",
    "conversion",
    "suppression",
    "refusal",
    "subscription",
    "consent",
    "decisioncount",
    "rejectedevent",
    "recordedorder",
    "webhookbatch",
    "webhookendpoint",
    "deliveryevent",
    "rulestatuschange",
    "variant",
    "step",
    "rule_sources",
    "rule",
    "ruleversion",
    "templateversion",
    "template",
    "sender",
    "provider",
    "topic",
    "source",
    "sourcekey",
    "dedupe_0",
    "dedupe_1",
]


class TickingClock:
    """A clock that tests set; each reading is a microsecond later than the last."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            self._at += timedelta(microseconds=1)
            return self._at

    def pass_by(self, by: timedelta) -> None:
        with self._lock:
            self._at += by


class SharedClock:
    """The same for many processes: a sequence counts its microseconds."""

    def now(self) -> datetime:
        return START + timedelta(microseconds=self._run("nextval('keel_clock')"))

    def pass_by(self, by: timedelta) -> None:
        passed = by // timedelta(microseconds=1)
        self._run(f"setval('keel_clock', nextval('keel_clock') + {passed})")

    def _run(self, expression: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {expression}")
            return cursor.fetchone()[0]

    @staticmethod
    def create() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE IF EXISTS keel_clock")
            cursor.execute("CREATE SEQUENCE keel_clock")


@dataclass
class Setting:
    """The rows that a history begins with."""

    source: SourceRef
    public: SourceRef
    topic: int
    rules: list[int]
    documents: list[dict]


def empty_database() -> None:
    """Remove every row of the engine; the schema stays."""
    with connection.cursor() as cursor:
        names = ", ".join(f"campaigns_{t}" for t in TABLES)
        cursor.execute(f"TRUNCATE {names} CASCADE")
    IngestState.objects.get_or_create(pk=1, defaults={"rotated_at": timezone.now()})
    rulesets.forget()
    marks.forget()
    partitions.forget()


def prepare_setting(documents_for) -> Setting:
    """Write sources, a sender, a template and the rules that `documents_for` makes."""
    empty_database()
    now = timezone.now()
    Company.objects.update_or_create(
        pk=1, defaults={"name": "Acme", "cap_messages": 2, "cap_days": 1}
    )
    provider = Provider.objects.create(
        name="p", rate_per_s=1e6, burst=10**6, tokens=10**6
    )
    sender = Sender.objects.create(
        name="s",
        from_name="Acme",
        from_email="hello@acme.example",
        company_name="Acme",
        postal_address="1 Main Street",
        provider=provider,
    )
    topic = Topic.objects.create(slug="news", name="News")
    WebhookEndpoint.objects.create(slug="keel", public_keys=[])
    words = {
        "subject": "Hi {{ event.cart }}",
        "html": "<p>Hello {{ event.total }}</p>",
    }

    template = Template.objects.create(name="t", **words)
    version = TemplateVersion.objects.create(
        template=template, number=1, published_at=now, **words
    )
    source = Source.objects.create(name="backend")
    public = Source.objects.create(name="browser", trust=Trust.PUBLIC)
    documents = documents_for(topic.pk, sender.pk, version.pk)
    rules = []
    for document in documents:
        rule = Rule.objects.create(
            name=document["name"],
            sender=sender,
            topic=topic,
            kind=document["kind"],
            trigger_events=document["trigger"]["events"],
            salt=document["salt"],
        )
        document["rule"] = rule.pk
        made = RuleVersion.objects.create(
            rule=rule, number=1, document=document, published_at=now
        )
        rule.current, rule.status = made, "active"
        rule.save()
        rules.append(rule.pk)
    rulesets.bump()
    return Setting(
        source=SourceRef(id=source.pk, name=source.name, trust=Trust.SECRET),
        public=SourceRef(id=public.pk, name=public.name, trust=Trust.PUBLIC),
        topic=topic.pk,
        rules=rules,
        documents=documents,
    )


@dataclass
class Live:
    """The engine at work on a history."""

    setting: Setting
    clock: TickingClock | SharedClock
    begun: list[Begun] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, operation) -> None:
        match operation:
            case Pass(by):
                self.clock.pass_by(by)
            case Post(events, public):
                source = self.setting.public if public else self.setting.source
                record(list(events), source=source)
            case Do():
                getattr(self, operation.what)(operation)

    def advance(self, _do) -> None:
        advance_due(limit=50)

    def begin(self, _do) -> None:
        claims = claim(limit=8)
        if claims:
            begun = begin(claims, prepare(claims))
            with self.lock:
                self.begun += begun

    def settle(self, do) -> None:
        with self.lock:
            waiting, self.begun = self.begun, []
        for sent in waiting:
            settle(sent.customer, sent.mail, sent.token, ANSWERS[do.number])

    def pause(self, do) -> None:
        self._publishing(publishing.pause, do, {"active"})

    def resume(self, do) -> None:
        self._publishing(publishing.resume, do, {"paused"})

    def archive(self, do) -> None:
        if do.flag:
            self._publishing(publishing.archive, do, {"active", "paused"})

    def _publishing(self, act, do, allowed) -> None:
        rule = self.setting.rules[do.number % len(self.setting.rules)]
        if Rule.objects.get(pk=rule).status in allowed:
            try:
                act(rule, by="test")
            except publishing.NotAllowedNow:  # another thread was first
                return

    def suppress(self, do) -> None:
        from tests.keel.histories import ADDRESSES

        suppress(
            ADDRESSES[do.number % len(ADDRESSES)],
            reason=SuppressionReason.COMPLAINT
            if do.flag
            else SuppressionReason.UNSUBSCRIBED,
            origin="test",
            topic=None if do.flag else self.setting.topic,
        )

    def choose(self, do) -> None:
        from campaigns.deciding.addresses import address_hash

        user = USERS[do.number % len(USERS)]
        customer = Customer.objects.filter(user_id=user, merged_into=None).first()
        if customer is not None and customer.email:
            unsubscribe(
                customer.pk,
                address_hash(customer.email),
                self.setting.topic,
                origin="test",
                wording="no",
            )

    def crash(self, do) -> None:
        """A worker ends after the claim, or while it hands over; all leases end."""
        claims = claim(limit=8)
        if claims and do.flag:
            begin(claims, prepare(claims))
        let_leases_end()
        rescue()

    def evidence(self, do) -> None:
        """The provider reports of an attempt: delivered, or (flag) reported as spam."""
        attempts = list(
            Attempt.objects.filter(message__state__in=["unknown", "sending", "sent"])
            .select_related("message")
            .order_by("-message__state", "-started_at", "message")
        )
        if not attempts:
            return
        attempt = attempts[do.number % len(attempts)]
        body = json.dumps(
            [
                {
                    "event": "spamreport" if do.flag else "delivered",
                    "email": attempt.message.address,
                    "timestamp": int(self.clock.now().timestamp()),
                    "sg_event_id": f"{attempt.pk} {do.flag}",
                    "sg_message_id": f"{attempt.pk}.recvd.0",
                    "et_message": str(attempt.message_id),
                    "et_token": str(attempt.pk),
                }
            ]
        )
        now = self.clock.now()
        WebhookBatch.objects.create(
            endpoint=WebhookEndpoint.objects.get(),
            received_at=now,
            pending_at=now,
            body=body.encode(),
        )
        drain()

    def lift(self, do) -> None:
        """Somebody lifts one of the suppressions in force."""
        known = Suppression.objects.filter(lifted_at=None).order_by("pk")
        if found := list(known.values_list("pk", flat=True)):
            lift(found[do.number % len(found)], by="test", why="it was a mistake")
