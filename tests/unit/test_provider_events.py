"""SendGrid's webhook items become delivery events, whatever state they are in."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.provider_events import (
    MAX_ITEMS,
    MAX_REASON_CHARS,
    DeliveryType,
    ProviderBatch,
    ProviderEvent,
    normalise,
    read_batch,
)
from campaigns.domain.states import SuppressionReason

NONE = None


def item(**changes) -> dict[str, object]:
    base: dict[str, object] = {
        "event": "delivered",
        "email": "Ada@Example.com",
        "timestamp": 1_763_700_000,
        "sg_event_id": "ZGVsaXZlcmVk",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "et_message": "42",
        "et_token": "tok",
    }
    return {k: v for k, v in (base | changes).items() if v != "drop"}


def read(**changes) -> ProviderEvent:
    batch = normalise([item(**changes)])
    assert batch.rejected == ()
    return batch.events[0]


def refused(value: object) -> str:
    batch = normalise([value])
    assert batch.events == ()
    return batch.rejected[0].reason


def test_a_delivered_event_is_read_in_full():
    event = read()
    assert event.type is DeliveryType.DELIVERED
    assert (event.message_ref, event.token_ref) == ("42", "tok")
    assert event.provider_message_id == "14c5d75ce93"
    assert event.address == "Ada@Example.com"
    assert event.occurred_at == datetime.fromtimestamp(1_763_700_000, tz=UTC)
    assert len(event.id_key or b"") == len(event.content_key) == 16
    assert event.suppression is None
    assert not event.without_ids


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("processed", DeliveryType.PROCESSED),
        ("deferred", DeliveryType.DEFERRED),
        ("open", DeliveryType.OPENED),
        ("click", DeliveryType.CLICKED),
        ("spamreport", DeliveryType.COMPLAINED),
        ("unsubscribe", DeliveryType.UNSUBSCRIBED),
        ("group_unsubscribe", DeliveryType.GROUP_UNSUBSCRIBED),
        ("group_resubscribe", DeliveryType.GROUP_RESUBSCRIBED),
        ("blocked", DeliveryType.BLOCKED),
        ("something_new", DeliveryType.UNKNOWN),
    ],
)
def test_each_name_has_its_type(name, kind):
    assert read(event=name).type is kind


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "hard_bounce"),
        ({"event": "bounce", "status": "5.0.0"}, "hard_bounce"),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "bounce_classification": "Invalid Address",
                "reason": "550 5.1.1 no such user (mx 4.7.1.9, v5.7.1.2)",
            },
            "hard_bounce",
        ),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "bounce_classification": "Mailbox Unavailable",
            },
            "hard_bounce",
        ),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "status": "5.1.1",
                "reason": "see 5.7.1 in our guide",
            },
            "hard_bounce",
        ),
        ({"event": "bounce", "type": "blocked", "status": "5.1.1"}, NONE),
        ({"event": "bounce", "type": "Blocked", "reason": "550 5.4.1"}, NONE),
        ({"event": "bounce", "type": "bounce", "status": "5.7.26"}, NONE),
        ({"event": "bounce", "type": "bounce", "status": "4.2.2"}, NONE),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "reason": "550; 5.7.515 Access denied, sending domain x.example",
            },
            NONE,
        ),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "bounce_classification": "Reputation",
            },
            NONE,
        ),
        (
            {"event": "bounce", "type": "bounce", "bounce_classification": "content"},
            NONE,
        ),
        (
            {
                "event": "bounce",
                "type": "bounce",
                "bounce_classification": "Frequency/Volume",
            },
            NONE,
        ),
        ({"event": "deferred", "status": "5.1.1"}, NONE),
        ({"event": "dropped", "reason": "Bounced Address"}, "hard_bounce"),
        ({"event": "dropped", "reason": "unsubscribed address "}, "unsubscribed"),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "complaint"),
        ({"event": "dropped", "reason": "Invalid"}, "invalid"),
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, NONE),
        ({"event": "dropped", "reason": "Spam Content"}, NONE),
        (
            {"event": "dropped", "reason": "Recipient List over Package Quota"},
            NONE,
        ),
        ({"event": "dropped", "reason": 7}, NONE),
        ({"event": "spamreport"}, "complaint"),
        ({"event": "unsubscribe"}, "unsubscribed"),
        ({"event": "group_unsubscribe"}, "unsubscribed"),
        ({"event": "group_resubscribe"}, NONE),
        ({"event": "open"}, NONE),
        ({"event": "something_new", "type": "bounce"}, NONE),
    ],
)
def test_what_suppresses_and_what_does_not(changes, reason):
    expected = SuppressionReason(reason) if reason else None
    assert read(**changes).suppression is expected


def test_a_blocked_bounce_has_a_type_of_its_own():
    event = read(event="bounce", type="blocked")
    assert (event.type, event.bounce_type) == (DeliveryType.BLOCKED, "blocked")


def test_a_delayed_bounce_without_ids_is_known_by_its_address():
    event = read(
        event="bounce",
        type="bounce",
        sg_message_id="drop",
        et_message="drop",
        et_token="drop",
    )
    assert event.without_ids
    assert event.address == "Ada@Example.com"
    assert event.token_ref is None
    assert event.suppression is SuppressionReason.HARD_BOUNCE


def test_opens_by_machines_are_told_apart():
    assert read(event="open", sg_machine_open=True).machine_open
    assert read(event="open", sg_machine_open="true").machine_open
    assert not read(event="open", sg_machine_open=False).machine_open
    assert not read(event="click", sg_machine_open=True).machine_open


@pytest.mark.parametrize(
    ("value", "ref"),
    [
        ("0042", "42"),
        (42, "42"),
        (str(2**63 - 1), str(2**63 - 1)),
        (str(2**63), NONE),
        ("9" * 5000, NONE),
        ("0", NONE),
        (-1, NONE),
        (True, NONE),
        ("٤٢", NONE),
        ("42; drop", NONE),
        (["42"], NONE),
        (4.2, NONE),
    ],
)
def test_only_our_own_kind_of_number_names_a_message(value, ref):
    assert read(et_message=value).message_ref == ref


def test_a_repeat_with_another_event_id_has_the_same_content_key():
    first, second = read(), read(sg_event_id="changed-on-retry")
    assert first.content_key == second.content_key
    assert first.id_key != second.id_key


def test_a_missing_event_id_has_no_key_rather_than_a_shared_one():
    assert read(sg_event_id="drop").id_key is None
    assert read(sg_event_id=" ").id_key is None
    assert read(sg_event_id=5).id_key is None


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "open"},
        {"timestamp": 1_763_700_001},
        {"url": "https://a.example/"},
        {"url_offset": {"index": 1, "type": "html"}},
        {"email": "bob@example.com"},
        {"et_message": "43"},
        {"sg_message_id": "other"},
    ],
)
def test_events_that_differ_have_different_content_keys(changes):
    assert read(**changes).content_key != read().content_key


def test_two_clicks_of_one_second_on_two_links_both_count():
    one = read(event="click", url="https://a.example/", url_offset={"index": 0})
    two = read(event="click", url="https://a.example/", url_offset={"index": 1})
    assert one.content_key != two.content_key


def test_long_and_odd_text_is_cut_and_mended():
    event = read(reason="x" * 9000, email="a\x00b\ud800@example.com", url="u" * 9000)
    assert len(event.reason) == MAX_REASON_CHARS
    assert event.address == "a\ufffdb\ufffd@example.com"
    assert len(event.url) == 2000


def test_a_timestamp_may_be_text_or_have_a_fraction():
    assert read(timestamp="1763700000").occurred_at == read().occurred_at
    assert read(timestamp=1763700000.9).occurred_at == read().occurred_at


@pytest.mark.parametrize(
    "timestamp",
    [None, True, "soon", -1, 0, 1e300, float("nan"), float("inf"), 2**70, "9" * 99, []],
)
def test_an_absurd_time_is_refused(timestamp):
    assert "timestamp" in refused(item(timestamp=timestamp))


@pytest.mark.parametrize("value", [None, 1, "text", [], [item()], True])
def test_an_item_that_is_no_object_is_refused(value):
    assert "must be an object" in refused(value)


@pytest.mark.parametrize("name", [None, 5, "", "  ", {}])
def test_an_item_without_a_name_is_refused(name):
    assert "`event`" in refused(item(event=name))


def test_an_event_that_names_nobody_is_refused_unless_it_is_about_the_account():
    nobody = {"email": "drop", "sg_message_id": "drop", "et_message": "drop"}
    assert "neither" in refused(item(**nobody))
    event = read(event="account_status_change", type="compliance_suspend", **nobody)
    assert event.type is DeliveryType.UNKNOWN
    assert event.name == "account_status_change"


def test_the_good_items_of_a_bad_batch_are_kept_and_places_are_named():
    batch = normalise([item(), 7, item(event="open"), {}])
    assert [event.name for event in batch.events] == ["delivered", "open"]
    assert [(r.index, r.raw) for r in batch.rejected] == [(1, "7"), (3, "{}")]


def test_a_lone_object_counts_as_a_batch_of_one():
    assert normalise(item()) == normalise([item()])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b"[" + b"9" * 5000 + b"]", b"nul"]
)
def test_a_body_that_is_no_json_is_one_rejected_item(body):
    batch = read_batch(body)
    assert batch.events == ()
    assert "not JSON" in batch.rejected[0].reason


@pytest.mark.parametrize("body", [b'"text"', b"null", b"3", b"true"])
def test_a_body_that_is_no_array_is_one_rejected_item(body):
    assert "an array" in read_batch(body).rejected[0].reason


def test_a_body_with_line_ends_between_the_items_is_read():
    body = b"[" + b"\r\n,\r\n".join([json.dumps(item()).encode()] * 2) + b"]\r\n"
    assert len(read_batch(body).events) == 2


def test_items_beyond_the_limit_are_refused_with_the_count():
    batch = normalise([item()] * (MAX_ITEMS + 5))
    assert len(batch.events) == MAX_ITEMS
    assert str(MAX_ITEMS + 5) in batch.rejected[0].reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "event",
        "email",
        "timestamp",
        "sg_event_id",
        "sg_message_id",
        "et_message",
        "et_token",
        "url",
        "url_offset",
        "reason",
        "response",
        "status",
        "type",
        "bounce_classification",
        "sg_machine_open",
    ]
)
SPOILT = st.dictionaries(FIELDS, JSON, max_size=6).map(lambda d: item(**d))


@given(JSON | st.lists(SPOILT | JSON, max_size=5))
def test_no_garbage_raises_and_nothing_is_lost(value):
    batch = normalise(value)
    expected = len(value) if isinstance(value, list) else 1
    assert len(batch.events) + len(batch.rejected) == expected
    assert normalise(value) == batch


@given(st.binary(max_size=200))
def test_no_bytes_raise(body):
    assert isinstance(read_batch(body), ProviderBatch)


@given(SPOILT)
def test_what_is_read_can_be_stored(value):
    for event in normalise([value]).events:
        texts = [event.address, event.url, event.reason, event.name, event.status]
        assert all("\x00" not in text for text in texts)
        assert "\n".join(texts).encode("utf-8")
        assert event.occurred_at.tzinfo is UTC
