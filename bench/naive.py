"""The view that one would write first: Django's ORM, one transaction a request.

It does the same checks against the same tables and indexes as ours: the key, the
repeat, who the customer is, which rules wait for the event, the cooldown.
"""

import json
import os
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.wsgi import get_wsgi_application
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.naive_settings")
application = get_wsgi_application()

# Importable only now that Django is set up.
from campaigns.deciding.ids import new_id  # noqa: E402
from campaigns.domain.people import FAR  # noqa: E402
from campaigns.ingest.arrivals import dedupe_key  # noqa: E402
from campaigns.models import (  # noqa: E402
    Cooldown,
    Customer,
    DecisionCount,
    Event,
    Identity,
    Journey,
    Rule,
    SourceKey,
    Timer,
)
from campaigns.receive.auth import hash_key, named_key  # noqa: E402


class Key(models.Model):
    """The dedupe key of an event, for the ORM."""

    k = models.UUIDField(primary_key=True)

    class Meta:
        managed = False
        app_label = "campaigns"
        db_table = "campaigns_dedupe_0"

    def __str__(self) -> str:
        return str(self.k)


@csrf_exempt
def track(request: HttpRequest) -> HttpResponse:
    """Take one event."""
    source = (
        SourceKey.objects.select_related("source")
        .filter(key_hash=hash_key(named_key(request) or ""), revoked_at=None)
        .first()
    )
    if source is None:
        return JsonResponse({"reason": "unknown_key"}, status=401)
    body = json.loads(request.body)
    with transaction.atomic():
        _take(source.source_id, body)
    return JsonResponse({"success": True})


def _take(source: int, body: dict[str, Any]) -> None:
    key = UUID(bytes=dedupe_key(source, body["messageId"]))
    if not Key._default_manager.get_or_create(k=key)[1]:  # noqa: SLF001 - documented
        return
    now = timezone.now()
    person = _person(body["userId"], now)
    event = Event.objects.create(
        id=new_id(),
        customer=person,
        source_id=source,
        type=body["type"],
        name=body["event"],
        message_id=body["messageId"],
        occurred_at=now,
        received_at=now,
        properties=body["properties"],
        context=body["context"],
    )
    waiting = Rule.objects.filter(
        status="active", trigger_events__contains=[event.name]
    ).select_related("current")
    decisions = [_decide(rule, event, person, now) for rule in waiting]
    if decisions:
        Event.objects.filter(pk=event.pk, received_at=now).update(decisions=decisions)


def _person(user: str, now: Any) -> Customer:
    """Return who goes by that id, locked; somebody new if nobody does."""
    known = Identity.objects.filter(namespace=0, value=user).first()
    if known is not None:
        return Customer.objects.select_for_update(no_key=True).get(pk=known.customer_id)
    person = Customer.objects.create(
        id=new_id(), born_as=f"user:{user}", user_id=user, bucket=0,
        created_at=now, updated_at=now,
    )  # fmt: skip
    Identity.objects.create(namespace=0, value=user, customer=person)
    return person


def _decide(rule: Rule, event: Event, person: Customer, now: Any) -> dict[str, Any]:
    """Start a journey unless a cooldown or a journey under way forbids it."""
    key = str(event.properties.get(rule.cooldown_key, ""))
    cold = Cooldown.objects.filter(
        customer_id=person.pk, rule_id=rule.pk, key=key, until__gt=now
    )
    under_way = Journey.objects.filter(
        customer=person, rule=rule, key=key, ended_at=None
    )
    if cold.exists():
        reason = "cooldown"
    elif under_way.exists():
        reason = "already_running"
    else:
        reason = "entered"
        _enter(rule, event, person, key=key, now=now)
    DecisionCount.objects.create(
        rule_id=rule.pk,
        hour=now.replace(minute=0, second=0, microsecond=0),
        reason=reason,
        count=1,
    )
    return {"rule": rule.pk, "version": rule.current_id, "reason": reason}


def _enter(rule: Rule, event: Event, person: Customer, *, key: str, now: Any) -> None:
    journey = Journey.objects.create(
        id=new_id(), rule=rule, version_id=rule.current_id or 0, customer=person, key=key,
        event_id=event.pk, event_received_at=now, event_occurred_at=now,
        trigger_id=event.pk, trigger_received_at=now, trigger_occurred_at=now,
        arm="treated", state="waiting", lane=1, wait_since=now, started_at=now,
        watched_until=FAR,
    )  # fmt: skip
    due = now + timedelta(hours=2)
    Timer.objects.create(journey=journey, customer=person, lane=1, due_at=due)
    Cooldown.objects.update_or_create(
        customer_id=person.pk, rule_id=rule.pk, key=key,
        defaults={"until": now + timedelta(days=1)},
    )  # fmt: skip


def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer that this process serves."""
    return JsonResponse({"status": "ok"})


urlpatterns = [path("v1/track", track), path("healthz", healthz)]
