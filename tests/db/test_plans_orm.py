"""What screens, health answers and housekeeping ask of big tables: never all of one."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns.dispatch import housekeeping
from campaigns.journeys import moves
from campaigns.models import (
    Customer,
    Event,
    IngestState,
    Journey,
    Message,
    RejectedEvent,
    Rule,
    Suppression,
    WebhookBatch,
)
from tests.db.big_tables import PEOPLE
from tests.db.plans import plan_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("big")]

LISTS = {
    "customer": (Customer, "created_at"),
    "event": (Event, "received_at"),
    "journey": (Journey, "started_at"),
    "message": (Message, "created_at"),
    "rejectedevent": (RejectedEvent, "received_at"),
    "suppression": (Suppression, "created_at"),
    "webhookbatch": (WebhookBatch, "received_at"),
}
SEARCHED = {
    "customer": ("u4711@example.com", "u4711", "4711"),
    "event": ("u4711@example.com", "u4711", "4711"),
    "journey": ("u4711@example.com", "4711"),
    "message": ("u4711@example.com", "4711"),
    "rejectedevent": ("11",),
    "suppression": ("u4711@example.com", "4711"),
    "webhookbatch": ("11",),
}
EXPLAINED = ("SELECT", "UPDATE", "DELETE", "WITH", "INSERT")
OURS = ("campaigns_", "django_session")


@pytest.fixture
def viewer():
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def walks(asked, big):
    """Return each statement that reads a big table in full, with what it reads."""
    found = []
    for query in asked:
        sql = query["sql"]
        if sql.startswith(EXPLAINED) and any(table in sql for table in OURS):
            plan = plan_of(sql.replace("%", "%%"), big)
            found += [(plan.walks, sql)] if plan.walks else []
    return found


def asked_for(viewer, address):
    with CaptureQueriesContext(connection) as asked:
        answer = viewer.get(address)
    assert answer.status_code == 200, address
    assert len(asked) > 2
    return asked


def page(model, *args, **query):
    what = "change" if args else "changelist"
    address = reverse(f"admin:campaigns_{model}_{what}", args=args)
    return f"{address}?{urlencode(query)}" if query else address


@pytest.mark.parametrize("model", LISTS)
def test_the_first_page_of_a_list(viewer, big, model):
    assert walks(asked_for(viewer, page(model)), big) == []


@pytest.mark.parametrize("way", ["older_than", "newer_than"])
@pytest.mark.parametrize("model", LISTS)
def test_a_page_in_the_middle_of_a_list(viewer, big, model, way):
    kind, time = LISTS[model]
    rows = kind.objects.order_by(f"-{time}", "-pk").values_list(time, "pk")
    at, pk = rows[1000]
    key = f"{at.isoformat()}_{pk}"
    assert walks(asked_for(viewer, page(model, **{way: key})), big) == []


@pytest.mark.parametrize(
    ("model", "term"),
    [(model, term) for model, terms in SEARCHED.items() for term in terms],
)
def test_a_search(viewer, big, model, term):
    assert walks(asked_for(viewer, page(model, q=term)), big) == []


@pytest.mark.parametrize("model", ["customer", "event", "journey", "message"])
def test_the_page_of_one(viewer, big, model):
    pk = PEOPLE - 101
    assert walks(asked_for(viewer, page(model, pk)), big) == []


@pytest.mark.parametrize("model", ["rejectedevent", "suppression", "webhookbatch"])
def test_the_page_of_one_of_a_numbered_list(viewer, big, model):
    pk = LISTS[model][0].objects.values_list("pk", flat=True).latest("pk")
    assert walks(asked_for(viewer, page(model, pk)), big) == []


@pytest.mark.parametrize(
    "address", ["/readyz", "/admin/campaigns/rule/"], ids=["readyz", "rules"]
)
def test_other_pages(viewer, big, address):
    with CaptureQueriesContext(connection) as asked:
        viewer.get(address)
    assert len(asked) > 1
    assert walks(asked, big) == []


@pytest.mark.parametrize("part", housekeeping.PARTS, ids=lambda part: part.__name__)
def test_housekeeping(big, part):
    later = timezone.now() + timedelta(days=1)
    IngestState.objects.update(rotated_at=later - timedelta(days=365))
    with CaptureQueriesContext(connection) as asked:
        part(later)
    assert len(asked) > 0, part
    assert walks(asked, big) == []


@pytest.mark.parametrize("status", ["active", "paused", "archived"])
def test_going_on_with_the_journeys_of_a_rule(big, status):
    rule = Rule.objects.order_by("pk").first()
    Rule.objects.filter(pk=rule.pk).update(status=status)
    with CaptureQueriesContext(connection) as asked:
        moves.finish_moves(limit_s=0.5)
    assert len(asked) > 0
    assert walks(asked, big) == []
