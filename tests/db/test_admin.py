"""The admin's screens: they answer, in both themes, to whom they should, without N+1."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.deciding.suppressing import suppress
from campaigns.domain.states import SuppressionReason
from campaigns.journeys.publishing import publish
from campaigns.models import (
    ClusterBeat,
    DeliveryEvent,
    RejectedEvent,
    Source,
    TemplateVersion,
    WebhookBatch,
    WebhookEndpoint,
)
from tests.db.admin_pages import failures
from tests.db.mail_rows import a_customer, a_mail
from tests.db.rule_rows import a_rule, happened

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def a_user(name="ann", *codenames, superuser=False):
    user = get_user_model().objects.create_user(
        name, password="a-long-word", is_staff=True, is_superuser=superuser
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin():
    return logged_in(a_user("root", superuser=True))


def page(model, pk=None, what=None):
    if pk is None:
        return reverse(f"admin:campaigns_{model}_{what or 'changelist'}")
    return reverse(f"admin:campaigns_{model}_{what or 'change'}", args=[pk])


def a_world():
    """One row of everything, with the oddities that pages must bear."""
    rule = a_rule(condition={"field": "event.properties.plan", "op": "exists"})
    publish(rule.pk, by="ann")
    happened("ann", plan="<script>alert(1)</script>")
    happened("bob")
    happened("cyd", "Unknown Event")
    version = publish(rule.pk, by="ann")
    template = TemplateVersion.objects.get()
    context = {"customer": {"first_name": "Ann"}}
    for state in ("sent", "unknown"):
        mail = a_mail(
            a_customer(f"{state}@example.com"),
            state=state,
            version=version,
            template_version_id=template.pk,
            context=context,
            journey_id=1,
            step=0,
            revision=0 if state == "sent" else 1,
        )
        DeliveryEvent.objects.create(
            content_key=uuid4(),
            message=mail,
            type="delivered",
            occurred_at=timezone.now(),
            received_at=timezone.now(),
        )
    suppress("x@example.com", reason=SuppressionReason.MANUAL, origin="ann: asked")
    source = Source.objects.get()
    RejectedEvent.objects.create(
        received_at=timezone.now(), source=source, code="bad", detail="<b>no</b>"
    )
    endpoint = WebhookEndpoint.objects.create(slug="s" * 20, public_keys=["key"])
    WebhookBatch.objects.create(
        endpoint=endpoint, received_at=timezone.now(), body=b"\xff[{}]"
    )
    ClusterBeat.objects.create(name="mail@here", seen_at=timezone.now())
    a_rule(trigger_events=[])
    return rule


def test_every_page_answers(admin):
    a_world()
    assert failures(admin) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("theme", ["plain", "unfold"])
def test_every_page_answers_in_each_theme(theme, database_url):
    a_user("root", superuser=True)
    a_world()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ADMIN_THEME": theme,
        "SECRET_KEY": "only-for-this-test-" * 4,
        "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "tests/db/admin_pages.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
