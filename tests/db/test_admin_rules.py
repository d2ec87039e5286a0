"""Writing and publishing rules and templates in the admin."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from campaigns.journeys.publishing import publish
from campaigns.models import Rule, Sender, Step, Template, TemplateVersion, Variant
from tests.db.mail_rows import a_sender, a_topic
from tests.db.rule_rows import a_rule, a_template

pytestmark = pytest.mark.django_db

STEP = {
    "position": "0",
    "delay_amount": "2",
    "delay_unit": "hours",
    "wait_for": "",
    "send_from": "9",
    "send_until": "17.30",
    "quiet_from": "",
    "quiet_until": "",
    "expires_amount": "0",
    "expires_unit": "hours",
}


@pytest.fixture
def admin():
    user = get_user_model().objects.create_superuser("root", "r@example.com", "root")
    client = Client()
    client.force_login(user)
    return client


def form(**changes):
    """What the browser posts for a marketing rule with one step."""
    template = changes.pop("template", None) or a_template()
    values = {
        "name": "Welcome",
        "description": "",
        "kind": "marketing",
        "topic": a_topic().pk,
        "sender": a_sender().pk,
        "trigger_events": "Signed Up, user.signup",
        "condition": "",
        "cooldown_amount": "7",
        "cooldown_unit": "days",
        "cooldown_key": "",
        "retrigger": "ignore",
        "freshness_amount": "3",
        "freshness_unit": "days",
        "exit_events": "",
        "exit_key": "",
        "goal_event": "",
        "goal_amount": "7",
        "goal_unit": "days",
        "holdout_percent": "0",
        "edition": "0",
        "steps-TOTAL_FORMS": "1",
        "steps-INITIAL_FORMS": "0",
        "steps-MIN_NUM_FORMS": "0",
        "steps-MAX_NUM_FORMS": "1000",
        "steps-0-template": template.pk,
        "steps-0-weekdays": ["0", "4"],
        **{f"steps-0-{name}": value for name, value in STEP.items()},
    }
    return {**values, **changes}


def edited(rule, **changes):
    """What the browser posts for an existing rule of a_rule."""
    step = rule.steps.get()
    return form(
        name=rule.name,
        topic=rule.topic_id,
        sender=rule.sender_id,
        edition=rule.edition,
        template=step.variants.first().template,
        **{
            "steps-INITIAL_FORMS": "1",
            "steps-0-id": step.pk,
            "steps-0-rule": rule.pk,
            **changes,
        },
    )


def add(client, **changes):
    return client.post(reverse("admin:campaigns_rule_add"), form(**changes))


def change(client, rule, **changes):
    return client.post(page(rule), edited(rule, **changes))


def page(rule):
    return reverse("admin:campaigns_rule_change", args=[rule.pk])


def said(response):
    return [str(m) for m in get_messages(response.wsgi_request)]


def test_a_draft_is_saved_as_it_was_typed(admin):
    response = add(admin)
    rule = Rule.objects.get()
    assert response.status_code == 302
    assert response["Location"] == page(rule)
    assert (rule.status, rule.edition) == ("draft", 1)
    assert rule.trigger_events == ["Signed Up", "user.signup"]
    assert len(rule.salt) == 16
    step = rule.steps.get()
    assert (step.send_from, step.send_until, step.weekdays) == (
        "09:00",
        "17:30",
        [0, 4],
    )
    assert step.variants.get().name == "A"


def test_save_and_publish_makes_it_run(admin):
    response = add(admin, _publish="")
    rule = Rule.objects.get()
    assert said(response) == ["Version 1 is published and runs. New events start it."]
    assert rule.status == "active"
    assert rule.current.published_by == "root"


def test_what_forbids_publishing_stands_on_the_page_beside_its_field(admin):
    response = add(admin, _publish="", topic="", trigger_events="")
    assert said(response) == [
        "Saved, but not published: 2 things must be mended first."
    ]
    rule = Rule.objects.get()
    assert rule.status == "draft"
    shown = admin.get(page(rule)).content.decode()
    assert 'data-problem-field="trigger_events"' in shown
    assert 'data-problem-field="topic"' in shown


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("condition", "{", "This is not JSON"),
        (
            "condition",
            '{"field": "customer.age", "op": "gt", "value": "old"}',
            "number",
        ),
        ("steps-0-send_from", "25:00", "is not a time such as 09:00"),
        ("trigger_events", "x" * 300, "is longer than 200 characters"),
        ("holdout_percent", "a lot", "Enter a number"),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field(admin, field, value, sentence):
    response = add(admin, **{field: value})
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert not Rule.objects.exists()


def test_the_second_of_two_editors_is_told_and_keeps_the_input(admin):
    rule = a_rule()
    mine = edited(rule, description="Mine, with care")
    assert change(admin, rule, description="Theirs").status_code == 302
    response = admin.post(page(rule), mine)
    shown = response.content.decode()
    assert response.status_code == 200
    assert "root saved this rule at" in shown
    assert "Mine, with care" in shown
    rule.refresh_from_db()
    assert (rule.description, rule.edition) == ("Theirs", 1)


def test_a_pause_while_somebody_edits_is_not_undone_by_their_save(admin):
    rule = a_rule()
    publish(rule.pk, by="ann")
    opened = edited(rule)
    paused = admin.post(reverse("admin:campaigns_rule_move", args=[rule.pk, "pause"]))
    assert paused.status_code == 302
    assert admin.post(page(rule), opened).status_code == 302
    rule.refresh_from_db()
    assert (rule.status, rule.current_id is not None) == ("paused", True)


@pytest.mark.parametrize("move", ["pause", "archive"])
def test_a_live_rule_is_moved_by_its_button(admin, move):
    rule = a_rule()
    publish(rule.pk, by="ann")
    response = admin.post(reverse("admin:campaigns_rule_move", args=[rule.pk, move]))
    assert response.status_code == 302
    rule.refresh_from_db()
    assert rule.status == {"pause": "paused", "archive": "archived"}[move]


def test_a_move_that_the_status_does_not_allow_is_explained(admin):
    rule = a_rule()
    response = admin.post(
        reverse("admin:campaigns_rule_move", args=[rule.pk, "resume"])
    )
    assert "only a rule that is paused can be resumed" in said(response)[0]


def test_a_move_needs_a_post(admin):
    rule = a_rule()
    address = reverse("admin:campaigns_rule_move", args=[rule.pk, "pause"])
    assert admin.get(address).status_code == 405


def an_editor(*codenames):
    user = get_user_model().objects.create_user("ed", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def test_an_editor_may_write_but_not_publish():
    editor = an_editor("view_rule", "change_rule", "view_step", "change_step")
    rule = a_rule()
    publish(rule.pk, by="ann")
    rule.refresh_from_db()
    shown = editor.get(page(rule)).content.decode()
    assert "Save draft" in shown
    assert 'name="_publish"' not in shown
    assert change(editor, rule, _publish="").status_code == 403
    moved = editor.post(reverse("admin:campaigns_rule_move", args=[rule.pk, "pause"]))
    assert moved.status_code == 403
    rule.refresh_from_db()
    assert (rule.status, rule.edition) == ("active", 0)


def test_unpublished_changes_are_shown(admin):
    rule = a_rule()
    publish(rule.pk, by="ann")
    assert "changes not yet published" not in admin.get(page(rule)).content.decode()
    Step.objects.update(delay_amount=9)
    assert "changes not yet published" in admin.get(page(rule)).content.decode()


def test_a_sender_cannot_be_deleted_since_former_versions_may_name_it(admin):
    sender = a_sender()
    address = reverse("admin:campaigns_sender_delete", args=[sender.pk])
    assert admin.post(address, {"post": "yes"}).status_code == 403
    assert Sender.objects.filter(pk=sender.pk).exists()


def test_a_published_rule_cannot_be_deleted(admin):
    rule = a_rule()
    address = reverse("admin:campaigns_rule_delete", args=[rule.pk])
    assert admin.get(address).status_code == 200
    publish(rule.pk, by="ann")
    assert admin.get(address).status_code == 403


def test_a_step_gets_a_second_mail_on_its_page(admin):
    rule = a_rule()
    step, other = rule.steps.get(), a_template()
    first = step.variants.get()
    address = reverse("admin:campaigns_step_change", args=[step.pk])
    values = {
        "variants-TOTAL_FORMS": "2",
        "variants-INITIAL_FORMS": "1",
        "variants-MIN_NUM_FORMS": "0",
        "variants-MAX_NUM_FORMS": "1000",
    }
    for place, (variant, name, template) in enumerate(
        [(first.pk, "A", first.template_id), ("", "B", other.pk)]
    ):
        values |= {
            f"variants-{place}-id": variant,
            f"variants-{place}-step": step.pk,
            f"variants-{place}-name": name,
            f"variants-{place}-template": template,
            f"variants-{place}-weight": "1",
            f"variants-{place}-position": str(place),
            f"variants-{place}-condition": "",
        }
    response = admin.post(address, values)
    assert response["Location"] == page(rule)
    assert list(Variant.objects.values_list("name", flat=True)) == ["A", "B"]
    rule.refresh_from_db()
    assert rule.edition == 1


TEMPLATE = {
    "name": "Hello",
    "subject": "Hello",
    "preheader": "",
    "html": "<p>Hi</p>",
    "text": "",
    "sample": "{}",
}


def test_a_template_is_saved_with_faults_and_published_without(admin):
    address = reverse("admin:campaigns_template_add")
    broken = TEMPLATE | {"html": "{% if customer.x %}never closed", "_publish": ""}
    response = admin.post(address, broken)
    template = Template.objects.get()
    assert said(response)[0].startswith("Saved, but not published. HTML")
    assert not TemplateVersion.objects.exists()
    where = reverse("admin:campaigns_template_change", args=[template.pk])
    assert admin.get(where).status_code == 200
    admin.post(where, TEMPLATE | {"_publish": ""})
    assert TemplateVersion.objects.get().published_by == "root"


def test_a_preview_is_shown_where_nothing_can_run(admin):
    template = a_template(html="<script>alert(1)</script><p>Hello</p>")
    address = reverse("admin:campaigns_template_preview", args=[template.pk])
    response = admin.get(address)
    policy = response["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "Hello" in response.content.decode()


def test_what_is_typed_is_previewed_and_not_saved(admin):
    address = reverse("admin:campaigns_template_typed")
    sample = '{"customer": {"first_name": "Zoe"}}'
    html = "<p>Hi {{ customer.first_name }}</p>"
    response = admin.post(address, TEMPLATE | {"html": html, "sample": sample})
    assert "Hi Zoe" in response.content.decode()
    assert not Template.objects.exists()
    assert "not JSON" in admin.post(address, {"sample": "{"}).content.decode()


def test_previews_need_the_permission_to_view():
    stranger = an_editor("view_rule")
    template = a_template()
    address = reverse("admin:campaigns_template_preview", args=[template.pk])
    assert stranger.get(address).status_code == 403
    typed = reverse("admin:campaigns_template_typed")
    assert stranger.post(typed, TEMPLATE).status_code == 403


DEEP = "[" * 100_000
LONG = "9" * 5_000


@pytest.mark.parametrize(
    "sample",
    [DEEP, f'{{"a": {LONG}}}', '{"a": NaN}', '{"a": 1e999}', '{"a": ' + "[" * 90 + "]" * 90 + "}"],
    ids=["deep", "long", "nan", "infinite", "nested"],
)  # fmt: skip
def test_sample_data_that_no_mail_could_be_made_with_is_refused(admin, sample):
    response = admin.post(
        reverse("admin:campaigns_template_add"), TEMPLATE | {"sample": sample}
    )
    assert "sample" in response.context["adminform"].form.errors
    shown = admin.post(reverse("admin:campaigns_template_typed"), {"sample": sample})
    assert shown.status_code == 200


def test_sample_data_are_kept_as_a_mail_would_show_them(admin):
    sample = '{"customer": {"name": "a\\u0000\\ud83d", "\\udfff": 1}}'
    admin.post(reverse("admin:campaigns_template_add"), TEMPLATE | {"sample": sample})
    kept = Template.objects.get().sample
    assert kept == {"customer": {"name": "a\ufffd\ufffd", "\ufffd": 1}}


def test_a_preview_shows_what_is_wrong_under_a_name_that_is_no_unicode(admin):
    sample = '{"customer": {"a\\ud800": ' + "[" * 90 + "]" * 90 + "}}"
    address = reverse("admin:campaigns_template_typed")
    html = "{{ customer.name }}"
    response = admin.post(address, TEMPLATE | {"html": html, "sample": sample})
    assert "too large or too deep" in response.content.decode()


@pytest.mark.parametrize(
    "condition",
    [DEEP, LONG, '{"a\\ud800": 1}', "NaN"],
    ids=["deep", "long", "odd", "nan"],
)
def test_a_condition_that_is_hardly_json_is_refused(admin, condition):
    response = add(admin, condition=condition)
    assert "condition" in response.context["adminform"].form.errors
    step = a_rule().steps.get()
    response = admin.post(
        reverse("admin:campaigns_step_change", args=[step.pk]),
        {
            "variants-TOTAL_FORMS": "2",
            "variants-INITIAL_FORMS": "0",
            "variants-0-condition": condition,
        },
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "field", ["trigger_events", "exit_events", "goal_event", "name"]
)
def test_a_name_with_a_control_character_is_refused(admin, field):
    response = add(admin, **{field: "a\x00b"})
    assert field in response.context["adminform"].form.errors


def test_a_rule_is_read_with_as_many_steps_as_it_may_have(admin):
    response = add(admin, **{"steps-TOTAL_FORMS": "1500"})
    (steps,) = response.context["inline_admin_formsets"]
    assert len(steps.formset.forms) <= 100
    assert not Rule.objects.exists()
