"""What the events of a webhook change, and what they cannot."""

import json
from datetime import timedelta

import pytest

from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import lift
from campaigns.feedback.apply import drain
from campaigns.feedback.due import anything_due
from campaigns.models import (
    Attempt,
    Customer,
    DeliveryEvent,
    Message,
    Suppression,
    WebhookBatch,
)
from tests.db.mail_rows import THEN, a_customer, a_mail
from tests.db.webhooks import (
    HARD,
    NOW,
    T0,
    an_endpoint,
    deliver,
    item,
    sole,
    stamp,
    store,
    suppressed,
)

pytestmark = pytest.mark.usefixtures("time")


@pytest.mark.django_db
class TestWhatIsApplied:
    def test_times_of_a_mail_are_the_first_of_their_kind(self):
        mail = a_mail(a_customer())
        store(
            [item(mail, "open", 30), item(mail, "delivered", 5)],
            [item(mail, "click", 40), item(mail, "open", 20)],
        )
        assert anything_due()
        assert drain() == 2
        assert not anything_due()
        seen = sole()
        assert seen.delivered_at == stamp(5)
        assert seen.opened_at == stamp(20)
        assert seen.clicked_at == stamp(40)
        assert seen.evidence_at == NOW
        assert DeliveryEvent.objects.count() == 4
        assert set(DeliveryEvent.objects.values_list("message", flat=True)) == {mail.pk}

    def test_a_body_posted_twice_has_no_second_effect(self):
        mail = a_mail(a_customer())
        end = an_endpoint()
        body = json.dumps([item(mail, "bounce", type="bounce", status="5.1.1")])
        for _ in range(2):
            assert deliver(end, body.encode()).status_code == 200
        assert drain() == 2
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        lift(Suppression.objects.get().pk, by="eve", why="mailbox is back")
        deliver(end, body.encode())
        drain()
        assert Suppression.objects.get().lifted_at is not None
        assert DeliveryEvent.objects.count() == 1
        last = WebhookBatch.objects.first()
        assert (last.summary["events"], last.summary["repeats"]) == (0, 1)

    def test_forty_six_copies_under_new_ids_count_once(self):
        mail = a_mail(a_customer())
        copies = [item(mail, "open", sg_event_id=f"copy-{i}") for i in range(46)]
        store(copies[:20], copies[20:])
        drain()
        assert DeliveryEvent.objects.count() == 1

    def test_one_id_with_changed_content_counts_once(self):
        mail = a_mail(a_customer())
        store([item(mail, "open", sg_event_id="x")])
        store([item(mail, "open", 7, sg_event_id="x")])
        drain()
        assert DeliveryEvent.objects.count() == 1

    def test_opens_by_machines_are_kept_apart(self):
        mail = a_mail(a_customer())
        store([item(mail, "open", sg_machine_open=True)])
        drain()
        assert sole().opened_at is None
        assert DeliveryEvent.objects.get().machine
        store([item(mail, "open", 9, sg_machine_open=False)])
        drain()
        assert sole().opened_at == stamp(9)

    def test_garbage_within_a_signed_body_harms_nothing_beside_it(self):
        mail = a_mail(a_customer())
        odd = "\x00\ud800"
        store(
            [
                None,
                7,
                "x",
                [[]],
                {},
                {"event": 5},
                {"event": "open", "timestamp": "never"},
                {"event": "open", "timestamp": T0},
                item(mail, "delivered", reason=odd, url=odd, category=[odd]),
                item(mail, "open", et_message={"a": 1}, et_token=[], email=None),
                item(mail, "something_new", 3),
                item(mail, "click", url="http://[broken"),
            ]
        )
        assert drain() == 1
        batch = WebhookBatch.objects.get()
        assert batch.applied_at is not None
        assert batch.summary["rejected_count"] == 8
        assert batch.summary["rejected"][0]["reason"]
        assert sole().delivered_at is not None

    @pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 50_000])
    def test_a_signed_body_that_is_no_json_is_done_with_and_says_why(self, body):
        store(body)
        assert drain() == 1
        batch = WebhookBatch.objects.get()
        assert "JSON" in batch.error
        assert batch.pending_at is None

    def test_the_token_in_a_clicked_unsubscribe_link_is_not_kept(self):
        mail = a_mail(a_customer())
        store([item(mail, "click", url="https://shop.example/u/AQIDsecret?x=1")])
        drain()
        assert DeliveryEvent.objects.get().url == "https://shop.example/u/…"


@pytest.mark.django_db
class TestSuppressions:
    @pytest.mark.parametrize(
        ("event", "fields", "reason"),
        [
            ("bounce", HARD, "hard_bounce"),
            ("bounce", HARD | {"type": "blocked"}, None),
            ("bounce", HARD | {"status": "5.7.26"}, None),
            ("deferred", {"response": "451 try later"}, None),
            ("spamreport", {}, "complaint"),
            ("unsubscribe", {}, "unsubscribed"),
            ("group_unsubscribe", {"asm_group_id": 3}, "unsubscribed"),
            ("dropped", {"reason": "Unsubscribed Address"}, "unsubscribed"),
            ("dropped", {"reason": "Bounced Address"}, "hard_bounce"),
            ("dropped", {"reason": "Spam Reporting Address"}, "complaint"),
            ("dropped", {"reason": "Invalid"}, "invalid"),
            ("dropped", {"reason": "Spam Content"}, None),
            ("dropped", {"reason": "Recipient List over Package Quota"}, None),
            ("delivered", {}, None),
        ],
    )
    def test_each_event_of_our_mail_suppresses_for_its_reason(
        self, event, fields, reason
    ):
        mail = a_mail(a_customer())
        store([item(mail, event, **fields)])
        drain()
        expected = {("ada@example.com", reason, "all")} if reason else set()
        assert suppressed() == expected

    def test_the_test_button_changes_nothing(self):
        a_mail(a_customer("example@test.com"))
        fake = {
            "email": "example@test.com",
            "timestamp": T0,
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "category": ["cat facts"],
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        }
        kinds = ["bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe"]
        store(
            [
                fake
                | {"event": kind, "sg_event_id": f"fake-{kind}", "reason": "Invalid"}
                for kind in kinds
            ]
        )
        drain()
        assert suppressed() == set()
        assert sole().bounced_at is None
        assert set(DeliveryEvent.objects.values_list("message", flat=True)) == {None}

    def test_a_delayed_bounce_is_put_down_to_the_newest_mail_to_its_address(self):
        ada = a_customer()
        a_mail(ada, sending_at=THEN - timedelta(days=2))
        newest = a_mail(ada, sending_at=THEN)
        a_mail(ada, sending_at=NOW + timedelta(days=1))
        lost = {"event": "bounce", "email": "ADA@example.com", "timestamp": T0} | HARD
        store([lost])
        drain()
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        assert DeliveryEvent.objects.get().message_id == newest.pk
        found = Message.objects.get(pk=newest.pk)
        assert found.bounced_at == stamp(0)
        # It proves nothing about which mail was taken.
        assert found.evidence_at is None

    def test_a_lost_event_about_somebody_we_never_mailed_changes_nothing(self):
        lost = {"event": "bounce", "email": "eve@example.com", "timestamp": T0} | HARD
        store([lost])
        drain()
        assert suppressed() == set()

    def test_events_of_another_installation_prove_only_what_the_mailbox_said(self):
        """Two installations on one account: the numbers are the same, not the tokens."""
        mail = a_mail(a_customer())
        theirs = {"et_token": "7f1c2f6e-0000-4000-8000-000000000000"}
        theirs["sg_message_id"] = "theirs.filter"
        store(
            [
                item(mail, "delivered", **theirs),
                item(mail, "unsubscribe", **theirs),
                item(mail, "spamreport", **theirs, email="bob@example.com"),
            ]
        )
        drain()
        assert suppressed() == set()
        assert sole().delivered_at is None
        store([item(mail, "bounce", 5, **HARD, **theirs)])
        drain()
        assert suppressed() == {("ada@example.com", "hard_bounce", "all")}
        assert sole().bounced_at is None

    def test_an_event_about_another_address_than_the_mails_suppresses_neither(self):
        mail = a_mail(a_customer())
        store([item(mail, "bounce", email="eve@example.com", **HARD)])
        drain()
        assert suppressed() == set()

    @pytest.mark.parametrize("email", ["Ada@Example.com", None])
    def test_a_complaint_about_a_mail_of_a_former_key_holds_under_the_present_one(
        self, settings, email
    ):
        mail = a_mail(a_customer())
        settings.ADDRESS_HASH_KEYS = ("another-key-of-thirty-two-characters",)
        store([item(mail, "spamreport", email=email)])
        assert drain() == 1
        kept = Suppression.objects.get()
        assert bytes(kept.address_hash) == address_hash("ada@example.com")

    def test_without_our_arguments_the_providers_id_finds_the_mail(self):
        mail = a_mail(a_customer())
        store([item(mail, "spamreport", et_message=None, et_token=None, email=None)])
        drain()
        assert sole().complained_at is not None
        row = Suppression.objects.get()
        assert (bytes(row.address_hash), row.reason) == (mail.address_hash, "complaint")


@pytest.mark.django_db
class TestEvidence:
    @pytest.mark.parametrize("event", ["processed", "delivered", "bounce", "open"])
    def test_any_report_settles_a_mail_of_unknown_fate(self, event):
        a_mail(a_customer(), state="unknown")
        mail = sole()
        store([item(mail, event)])
        drain()
        assert (sole().state, sole().evidence_at) == ("sent", NOW)
        assert Attempt.objects.get().state == "accepted"

    def test_a_mail_being_handed_over_is_not_moved_only_noted(self):
        mail = a_mail(
            a_customer(), state="sending", lease_until=NOW + timedelta(seconds=20)
        )
        store([item(mail, "processed")])
        drain()
        assert (sole().state, sole().evidence_at) == ("sending", NOW)
        assert Attempt.objects.get().state == "open"

    def test_a_report_of_an_earlier_attempt_is_evidence_too(self):
        mail = a_mail(a_customer(), state="unknown")
        early = Attempt.objects.create(
            id="7f1c2f6e-0000-4000-8000-000000000001",
            message=mail,
            number=0,
            state="ambiguous",
            started_at=THEN,
        )
        store([item(mail, "delivered", et_token=str(early.pk))])
        drain()
        assert sole().state == "sent"
        states = dict(Attempt.objects.values_list("number", "state"))
        assert states == {0: "accepted", 1: "ambiguous"}

    def test_the_number_alone_is_no_evidence(self):
        mail = a_mail(a_customer(), state="unknown")
        store([item(mail, "delivered", et_token=None, email="eve@example.com")])
        drain()
        assert (sole().state, sole().evidence_at) == ("unknown", None)

    def test_who_was_merged_or_erased_since_does_not_stop_it(self):
        old, new = a_customer("old@example.com"), a_customer()
        a_mail(old, state="unknown")
        Customer.objects.filter(pk=old.pk).update(merged_into=new.pk)
        Customer.objects.filter(pk=new.pk).update(merged_ids=[old.pk])
        store([item(sole(), "delivered")])
        drain()
        assert sole().state == "sent"
        lost = a_mail(new, state="unknown")
        Customer.objects.all().delete()
        store([item(lost, "delivered")])
        assert drain() == 1
        assert Message.objects.get(pk=lost.pk).delivered_at is not None
