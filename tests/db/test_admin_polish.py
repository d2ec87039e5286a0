"""What the admin's screens say when there is little to show, and before it is final."""

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from campaigns.admin.accounts import offered_permissions
from campaigns.models import Source
from tests.db.mail_rows import a_customer, a_mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def shown(client, name, *args):
    response = client.get(reverse(f"admin:{name}", args=args), follow=True)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        pytest.param("rule", "A rule says: when this happens", id="rule"),
        pytest.param("message", "Mails appear here when a journey", id="message"),
        pytest.param("event", "Under Sources there are the keys", id="event"),
        pytest.param("clusterbeat", "manage.py cluster", id="cluster"),
    ],
)
def test_an_empty_list_says_what_to_do_next(admin, model, says):
    page = shown(admin, f"campaigns_{model}_changelist")
    assert says in page
    assert "Create a new item" not in page


def test_a_search_without_a_hit_says_what_can_be_looked_for(admin):
    where = reverse("admin:campaigns_message_changelist")
    page = admin.get(where, {"q": "<b>nobody"}).content.decode()
    assert "“&lt;b&gt;nobody” was looked for" in page
    assert "An e-mail address, a user id or an id." in page


def test_a_name_is_not_capitalised(admin):
    person = a_customer("ada@example.com")
    page = shown(admin, "campaigns_customer_change", person.pk)
    assert "Ada@example.com" not in page


def test_what_is_final_is_asked_before(admin):
    mail = a_mail(a_customer(), state="unknown", context={})
    page = shown(admin, "campaigns_message_change", mail.pk)
    assert page.count("data-confirm=") == 2


def test_a_source_without_a_key_says_so(admin):
    source = Source.objects.create(name="My website", kind="segment", trust="public")
    assert "no key yet" in shown(admin, "campaigns_source_changelist")
    assert "put it into the web page" in shown(
        admin, "campaigns_source_change", source.pk
    )
    admin.post(reverse("admin:campaigns_source_key", args=[source.pk]))
    assert "1 key" in shown(admin, "campaigns_source_changelist")


def test_the_queues_own_tables_are_not_shown(admin):
    tables = set(apps.get_app_config("django_q").get_models())
    assert tables & set(django_admin.site._registry) == set()


def test_a_group_is_made_of_ticked_permissions(admin):
    wanted = Permission.objects.get(codename="publish_rule")
    assert wanted in offered_permissions()
    where = reverse("admin:auth_group_add")
    answer = admin.post(where, {"name": "Publishers", "permissions": [wanted.pk]})
    assert answer.status_code == 302
    assert list(Group.objects.get().permissions.all()) == [wanted]


def test_only_permissions_of_what_has_a_page_are_offered():
    offered = {p.content_type.app_label for p in offered_permissions()}
    assert offered == {"auth", "campaigns"}


def test_browsers_find_an_icon(client):
    answer = client.get("/favicon.ico")
    assert answer.status_code == 302
    assert answer["Location"].endswith("campaigns/favicon.svg")
