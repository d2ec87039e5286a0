"""Every hot statement against big tables: by its index, never through a whole table."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.sql import FOLDER
from tests.db.big_tables import OPEN, PEOPLE
from tests.db.plans import by_primary_key, plans_of, promised

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("big")]

NOW = timezone.now()
AGO, SOON = NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)
WEEK_AGO = NOW - timedelta(days=7)
IDS = [PEOPLE - 2 * n for n in range(100)]  # a batch of those who wait
UUIDS = [UUID(int=n) for n in range(100)]
HASHES = [bytes(16), b"1" * 16]
NAMES = [f"u{n}" for n in IDS]


def each(value):
    return [value] * len(IDS)


JOURNEYS = {
    "id": IDS, "customer_id": IDS, "trigger_id": IDS, "trigger_received_at": each(AGO),
    "trigger_occurred_at": each(AGO), "state": each("waiting"), "step": each(0),
    "revision": each(0), "wait_since": each(AGO), "woken_by": each(None),
    "held_due_at": each(None), "ended_at": each(None), "cause": each(None),
    "goal_until": each(None), "converted_at": each(None), "watched_until": each(SOON),
}  # fmt: skip
MAILS = {
    "id": IDS, "customer_id": IDS, "variant": each(0), "template_version_id": each(1),
    "state": each("queued"), "reason": each(""), "detail": each(None),
    "not_before": each(AGO),
}  # fmt: skip
# Every file, and values as the engine gives them in the middle of a busy day.
VALUES = {
    "accept_attempts": {"ids": UUIDS},
    "anything_due": {"now": NOW},
    "attempts_by_id": {"ids": UUIDS},
    "bump_ruleset": {},
    "capped": {"hashes": HASHES, "since": WEEK_AGO},
    "choose_topics": {
        "customer": 1, "subscribed": False, "now": NOW, "origin": "page",
        "topics": [1], "wording": "",
    },
    "claim_identities": {"namespace": each(0), "value": NAMES, "customer_id": IDS},
    "claim_mails": {
        "now": NOW, "urgent_mark": NOW - timedelta(days=90),
        "mark": NOW - timedelta(days=90), "provider": 1, "low": 0, "high": 5,
        "wanted": 50, "lease_s": 20,
    },
    "claim_timers": {
        "lane": 0, "now": NOW, "mark": NOW - timedelta(hours=1), "limit": 200,
    },
    "claim_webhook_batch": {
        "again_at": SOON,
        "later_at": SOON,
        "max_attempts": 5,
        "now": NOW,
    },
    "clock": {},
    "cooldowns": {"people": IDS, "now": NOW},
    "dedupe_0": {"keys": UUIDS, "namespace": each(0), "value": NAMES},
    "dedupe_1": {"keys": UUIDS, "namespace": each(0), "value": NAMES},
    "delete_timers": {"journeys": IDS},
    "end_attempts": {
        "now": NOW, "id": UUIDS, "state": each("accepted"), "status": each(202),
        "detail": each(""),
    },
    "end_orphans": {"ids": IDS, "now": NOW},
    "events_by_ref": {"id": IDS, "received_at": each(AGO)},
    "expired_leases": {"limit": 100},
    "feedback_due": {"now": NOW},
    "finish_webhook_batch": {"now": NOW, "error": "", "summary": "{}", "id": 1},
    "give_back": {"ids": IDS, "tokens": UUIDS, "now": NOW},
    "incarnation": {},
    "insert_attempts": {
        "now": NOW, "id": UUIDS, "message_id": IDS, "number": each(1),
        "provider_id": each(1),
    },
    "insert_conversions": {
        "now": NOW, "journey_id": IDS, "rule_id": each(1), "customer_id": IDS,
        "arm": each("treated"), "event_id": IDS, "occurred_at": each(NOW),
    },
    "insert_counts": {"now": NOW, "rule_id": [1], "reason": ["entered"], "count": [1]},
    "insert_delivery_events": {
        "received_at": NOW, "id_key": UUIDS, "content_key": UUIDS, "message_id": IDS,
        "type": each("opened"), "occurred_at": each(NOW), "address_hash": each(None),
        "url": each(""), "machine": each(False), "detail": each("{}"),
    },
    "insert_events": {
        "source_id": each(1), "now": NOW, "id": IDS, "customer_id": IDS,
        "type": each("track"), "name": each("Signed Up"), "message_id": NAMES,
        "occurred_at": each(NOW), "properties": each("{}"), "context": each("{}"),
        "traits": each(None), "decisions": each(None), "notes": each(None),
    },
    "insert_journeys": JOURNEYS | {
        "rule_id": each(1), "version_id": each(1), "key": each(""),
        "exit_value": each(None), "event_id": IDS, "event_received_at": each(AGO),
        "event_occurred_at": each(AGO), "arm": each("treated"), "lane": each(0),
        "started_at": each(NOW),
    },
    "insert_mails": MAILS | {
        "journey_id": IDS, "step": each(0), "revision": each(0), "rule_id": each(1),
        "version_id": each(1), "kind": each("marketing"), "lane": each(0),
        "provider_id": each(1), "due_at": each(AGO), "not_after": each(None),
        "created_at": each(NOW),
    },
    "journeys_by_id": {"ids": IDS},
    "journeys_watched": {"people": IDS},
    "leases_left": {"ids": IDS, "tokens": UUIDS, "margin_s": 10},
    "leases_over": {"ids": IDS},
    "lift_suppression": {"now": NOW, "by": "ann", "why": "asked", "id": 1},
    "lift_unsubscribed": {
        "now": NOW, "why": "asked", "address_hash": HASHES[0], "topic": 1,
    },
    "lock_address": {"key": 1},
    "lock_messages": {"ids": IDS},
    "lock_people": {"ids": IDS},
    "lock_ruleset": {"lock": 1},
    "lock_ruleset_shared": {"lock": 1},
    "mailed_before": {"address_hash": HASHES, "until": [NOW, NOW]},
    "mails_by_id": {"ids": IDS},
    "mails_to_prepare": {"ids": IDS},
    "mails_unsettled": {"people": IDS},
    "merge_customers": {"loser": [1, 3], "winner": [2, 4]},
    "messages_reported": {"ids": IDS, "provider_ids": ["p1", "p2"]},
    "metrics_messages": {"limit": 10_001},
    "metrics_queue": {"limit": 10_001},
    "metrics_rest": {"limit": 10_001},
    "metrics_timers": {"now": NOW, "limit": 10_001},
    "move_identities": {"namespace": each(0), "value": NAMES, "customer_id": IDS},
    "next_ids": {},
    "note_unsubscribed": {"now": NOW, "id": 1, "address_hash": HASHES[0]},
    "past": {
        "person": IDS, "member": IDS, "name": each("Order Completed"),
        "since": each(WEEK_AGO), "limit": 100,
    },
    "people_by_address": {"addresses": ["u1@example.com", "u2@example.com"]},
    "permissions": {
        "now": NOW, "customer_id": IDS, "address_hash": each(HASHES[0]),
        "topic_id": each(1),
    },
    "provider_health": {
        "recovered": False, "failures": 1, "threshold": 5, "open_until": SOON, "paused_until": None,
        "pause_reason": "", "provider": 1,
    },
    "provider_kinds": {},
    "providers_enabled": {},
    "read_people": {"ids": IDS},
    "record_order": {"now": NOW, "kind": "record", "payload": "{}"},
    "refuse_all": {"customer": 1, "origin": "page", "wording": "", "now": NOW},
    "report_messages": {
        "now": NOW, "id": IDS, "evidence": each(True), "delivered_at": each(NOW),
        "bounced_at": each(None), "opened_at": each(None), "clicked_at": each(None),
        "complained_at": each(None), "unsubscribed_at": each(None),
    },
    "retry_webhook_batch": {"again_at": SOON, "error": "no", "id": 1},
    "roots": {"ids": IDS},
    "ruleset_number": {},
    "senders": {},
    "skip_ids": {"skip": 1000},
    "skip_rows": {"skip": 1000},
    "suppress": {
        "now": NOW, "address_hash": HASHES, "address": ["", ""],
        "topic_id": [None, None], "reason": ["manual"] * 2, "origin": ["", ""],
        "ends_at": [None, None],
    },
    "templates_to_prepare": {"ids": IDS},
    "timers_due": {
        "urgent_mark": NOW - timedelta(hours=1), "mark": NOW - timedelta(hours=1),
    },
    "topic_names": {},
    "topics_meant": {"topic": None},
    "update_journeys": JOURNEYS | {"old_state": each("waiting")},
    "update_mails": MAILS | {
        "old_state": each("queued"), "attempt": each(1), "token": UUIDS,
        "address": each(""), "address_hash": each(None),
        "provider_message_id": each(""), "context": each(None),
        "sending_at": each(None), "settled_at": each(None), "evidence_at": each(None),
        "redriven_at": each(None),
    },
    "write_cooldowns": {
        "customer_id": IDS, "rule_id": each(1), "key": each(""), "until": each(SOON),
    },
    "write_people": {
        "now": NOW, "id": IDS, "born_as": NAMES, "created_at": each(NOW),
        "bucket": each(1), "user_id": NAMES, "email": each(None),
        "email_said_at": each(None), "email_trusted": each(False), "traits": each("{}"),
        "trait_times": each("{}"), "time_zone": each(""), "locale": each(""),
        "merged_ids": each("{}"), "merged_into": each(None),
    },
    "write_timers": {
        "journey_id": IDS, "customer_id": IDS, "lane": each(0), "due_at": each(SOON),
    },
}  # fmt: skip
FILES = sorted(path.stem for path in FOLDER.glob("*.sql"))
# One row each, or a handful: read whole rather than by primary key.
SMALL = {"bump_ruleset", "ruleset_number", "topics_meant"}


PEAK = """
UPDATE campaigns_message SET state = 'queued', not_before = now(), token = NULL,
  lease_until = NULL;
UPDATE campaigns_webhookbatch SET pending_at = now(), applied_at = NULL;
UPDATE campaigns_timer SET due_at = now() - interval '1 s';
ANALYZE campaigns_message, campaigns_webhookbatch, campaigns_timer
"""


def test_the_tables_are_big_enough_to_tell(big):
    assert len(big.big) > 18
    assert "campaigns_message" in big.big
    assert OPEN > 10_000


def test_every_statement_has_values_here():
    assert sorted(VALUES) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_statement_walks_no_big_table_and_keeps_its_promise(name, big):
    for plan in plans_of(name, VALUES[name], big):
        assert plan.walks == ()
        assert promised(name, big) <= plan.used
        if by_primary_key(name) and name not in SMALL:
            assert any(index.endswith("_pkey") for index in plan.used), plan.used


@pytest.mark.parametrize(
    "name", ["anything_due", "feedback_due", "expired_leases", "timers_due"]
)
def test_a_probe_with_the_statistics_of_a_peak_reads_no_table(name, big):
    """Else each probe of the quiet hour after it, 20 a second, reads all of it."""
    with connection.cursor() as cursor:
        cursor.execute(PEAK)
    for plan in plans_of(name, VALUES[name], big):
        assert not plan.walks
        assert not plan.scanned & big.big


@pytest.mark.parametrize("name", ["claim_mails", "claim_timers", "claim_webhook_batch"])
def test_a_claim_with_the_statistics_of_a_peak_begins_at_the_oldest(name, big):
    with connection.cursor() as cursor:
        cursor.execute(PEAK)
    for plan in plans_of(name, VALUES[name], big):
        assert not plan.scanned & big.big
        assert promised(name, big) <= plan.used
