"""Segment's calls, of real SDKs and of hostile ones."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.clean import MAX_DEPTH, MAX_KEYS
from campaigns.domain.events import (
    MAX_ID_CHARS,
    MAX_MESSAGE_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_REJECTED_CHARS,
    EventType,
)
from campaigns.receive.wire.base import BadBody
from campaigns.receive.wire.segment import (
    CALLS,
    MAX_BODY_BYTES,
    MAX_EVENTS,
    open_envelope,
    parse,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WIRE = Path(__file__).parents[2] / "fixtures" / "wire"
CAPTURED = sorted(
    path
    for client in (
        "segment-py",
        "segment-py-gzip",
        "segment-node",
        "segment-browser",
        "segment-http",
    )
    for path in (WIRE / client).glob("*.json")
)


def body_of(captured):
    if "body_base64" in captured:
        raw = base64.b64decode(captured["body_base64"])
        zipped = captured["headers"].get("Content-Encoding") == "gzip"
        return gzip.decompress(raw) if zipped else raw
    return captured["body_text"].encode()


def track(**members):
    return {"type": "track", "userId": "u1", "event": "Signed Up", **members}


def taken(call, body):
    parsed = parse(call, json.dumps(body).encode(), received_at=NOW)
    assert parsed.rejected == ()
    return parsed.events


def refused(call, body):
    parsed = parse(call, json.dumps(body).encode(), received_at=NOW)
    assert parsed.events == ()
    (rejected,) = parsed.rejected
    return rejected


@pytest.mark.parametrize("path", CAPTURED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_what_real_clients_send_is_taken_whole(path):
    captured = json.loads(path.read_text())
    sent = json.loads(body_of(captured))
    items = sent.get("batch", [sent])
    call = captured["path"].rpartition("/")[2]

    parsed = parse(call, body_of(captured), received_at=NOW)

    assert parsed.rejected == ()
    assert len(parsed.events) == len(items)
    for event, item in zip(parsed.events, items, strict=True):
        assert event.type == (CALLS[call] or item["type"])
        assert event.user_id == (item.get("userId") or None)
        assert event.anonymous_id == (item.get("anonymousId") or None)
        assert event.message_id == item.get("messageId", event.message_id)
        assert event.notes == ()
        if event.type == "track":
            assert event.name == item["event"]
            assert event.properties == item.get("properties", {})


@pytest.mark.parametrize(("call", "kind"), sorted(CALLS.items()))
def test_every_path_has_its_type(call, kind):
    item = track(name="Home", previousId="p", groupId="g", type="track")
    (event,) = taken(call, item if kind else {"batch": [item]})
    assert event.type == (kind or EventType.TRACK)


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        ("page", "Pricing", "Viewed Pricing Page"),
        ("page", None, "Viewed Page"),
        ("screen", "Home", "Viewed Home Screen"),
        ("screen", "  ", "Viewed Screen"),
    ],
)
def test_pages_and_screens_get_names(call, name, expected):
    (event,) = taken(call, {"anonymousId": "a", "name": name, "category": "Docs"})
    assert event.name == expected
    assert event.properties["category"] == "Docs"


def test_a_batchs_context_stands_under_each_events_own():
    body = {
        "context": {"ip": "1.2.3.4", "locale": "cs"},
        "batch": [track(), track(context={"locale": "en"})],
    }
    first, second = taken("batch", body)
    assert first.context == {"ip": "1.2.3.4", "locale": "cs"}
    assert second.context == {"ip": "1.2.3.4", "locale": "en"}


def test_an_odd_shared_context_is_left_out_and_noted():
    (event,) = taken("batch", {"context": "x", "batch": [track()]})
    assert event.context == {}
    assert event.notes == ("shared-context-dropped",)


@pytest.mark.parametrize(
    ("said", "kept"),
    [(42, "42"), (2**63, str(2**63)), (7.0, "7"), (1.5, "1.5"), ("  u ", "u"),
     (10**30, str(10**30)), ("a%2Fb", "a%2Fb")],
)  # fmt: skip
def test_ids_are_text(said, kept):
    (event,) = taken("track", track(userId=said))
    assert event.user_id == kept


def test_null_ids_are_none():
    (event,) = taken("track", track(userId=None, anonymousId="a"))
    assert (event.user_id, event.anonymous_id) == (None, "a")


def test_an_absent_message_id_is_made_up_each_time_anew():
    first, second = taken("batch", {"batch": [track(), track(messageId="")]})
    assert UUID(first.message_id).version == 4
    assert first.message_id != second.message_id


def test_repeats_within_a_batch_are_passed_on():
    events = taken("batch", {"batch": [track(messageId="m")] * 2})
    assert [e.message_id for e in events] == ["m", "m"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"traits": {"a": 1}, "context": {"traits": {"b": 2}}}, {"a": 1}),
        ({"context": {"traits": {"b": 2}}}, {"b": 2}),
        ({"context": {"traits": "odd"}}, {}),
        ({}, {}),
    ],
)
def test_traits_come_from_the_call_else_from_the_context(body, expected):
    (event,) = taken("identify", {"userId": "u", **body})
    assert event.traits == expected


def test_a_groups_traits_are_not_taken_from_the_customers_context():
    body = {"userId": "u", "groupId": "g", "context": {"traits": {"plan": "pro"}}}
    (event,) = taken("group", body)
    assert event.traits == {}


def test_an_alias_of_itself_is_no_error():
    (event,) = taken("alias", {"userId": "u", "previousId": "u"})
    assert (event.user_id, event.previous_id) == ("u", "u")


def test_clock_skew_is_corrected_by_the_batchs_sent_at():
    body = {
        "sentAt": "2026-11-21T17:00:00Z",
        "batch": [track(timestamp="2026-11-21T16:59:00Z")],
    }
    (event,) = taken("batch", body)
    assert event.occurred_at == NOW - timedelta(minutes=1)


def test_clock_skew_is_corrected_by_a_browsers_own_sent_at():
    said = {"timestamp": "2026-11-21T06:59:00Z", "sentAt": "2026-11-21T07:00:00Z"}
    (event,) = taken("t", track(**said))
    assert event.occurred_at == NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("members", "code", "path"),
    [
        ({"userId": "x" * (MAX_ID_CHARS + 1)}, "id_too_long", "batch[0].userId"),
        ({"userId": "x" * 10_240}, "id_too_long", "batch[0].userId"),
        ({"messageId": "m" * 256}, "id_too_long", "batch[0].messageId"),
        ({"userId": None}, "missing_id", "batch[0]"),
        ({"userId": " "}, "missing_id", "batch[0]"),
        ({"userId": True}, "wrong_type", "batch[0].userId"),
        ({"userId": {"a": 1}}, "wrong_type", "batch[0].userId"),
        ({"messageId": []}, "wrong_type", "batch[0].messageId"),
        ({"event": None}, "missing_event", "batch[0].event"),
        ({"event": "  "}, "missing_event", "batch[0].event"),
        ({"event": 5}, "wrong_type", "batch[0].event"),
        ({"event": "e" * (MAX_NAME_CHARS + 1)}, "name_too_long", "batch[0].event"),
        ({"type": None}, "missing_type", "batch[0].type"),
        ({"type": "delete"}, "unknown_type", "batch[0].type"),
        ({"type": 3}, "unknown_type", "batch[0].type"),
        ({"properties": "p"}, "wrong_type", "batch[0].properties"),
        ({"properties": []}, "wrong_type", "batch[0].properties"),
        ({"context": 1}, "wrong_type", "batch[0].context"),
        ({"traits": False}, "wrong_type", "batch[0].traits"),
        ({"type": "alias"}, "missing_id", "batch[0]"),
        ({"type": "group"}, "missing_id", "batch[0].groupId"),
        ({"type": "page", "name": "n" * 195}, "name_too_long", "batch[0].name"),
        ({"properties": {"a": "x" * 33_000}}, "event_too_large", "batch[0]"),
        ({"properties": dict.fromkeys(map(str, range(MAX_KEYS)))},
         "too_many_keys", "batch[0]"),
    ],
)  # fmt: skip
def test_a_wrong_event_is_refused_with_its_place(members, code, path):
    rejected = refused("batch", {"batch": [track(**members)]})
    assert (rejected.code, rejected.path) == (code, path)
    assert path in rejected.detail


def test_one_bad_event_leaves_the_others():
    body = {"batch": [track(messageId="a"), 5, track(messageId="b"), [], None]}
    parsed = parse("batch", json.dumps(body).encode(), received_at=NOW)
    assert [e.message_id for e in parsed.events] == ["a", "b"]
    assert [r.path for r in parsed.rejected] == ["batch[1]", "batch[3]", "batch[4]"]
    assert {r.code for r in parsed.rejected} == {"not_an_object"}


def test_a_rejection_keeps_the_message_id():
    assert refused("track", track(event=None, messageId="m1")).message_id == "m1"


def test_the_write_key_is_not_kept_with_a_rejection():
    rejected = refused("track", {"writeKey": "secret-write-key", "event": "x"})
    assert "secret-write-key" not in rejected.body
    assert '"event": "x"' in rejected.body


def test_more_than_the_allowed_events_are_one_rejection():
    body = {"batch": [{"x": 1}] * (MAX_EVENTS + 1)}
    rejected = refused("batch", body)
    assert rejected.code == "too_many_events"
    assert "2501" in rejected.detail


def test_nul_and_lone_surrogates_cost_no_event():
    body = (
        rb'{"batch":[{"type":"track","userId":"u","event":"a\u0000b"},'
        rb'{"type":"track","userId":"u\ud800","event":"c","properties":{"\udc00":1}}]}'
    )
    first, second = parse("batch", body, received_at=NOW).events
    assert (first.name, first.notes) == ("a\ufffdb", ("nul-replaced",))
    assert (second.user_id, second.properties) == ("u\ufffd", {"\ufffd": 1})
    assert second.notes == ("surrogate-replaced",)


def test_emoji_keys_and_values_stay():
    (event,) = taken("track", track(properties={"🛒": "😀"}))
    assert event.properties == {"🛒": "😀"}
    assert event.notes == ()


def deep(levels):
    return b'{"userId":"u","event":"e","properties":{"a":%b%b}}' % (
        b"[" * levels,
        b"]" * levels,
    )


def test_nesting_is_taken_up_to_the_limit_then_refused_then_malformed():
    fits = parse("track", deep(MAX_DEPTH - 2), received_at=NOW)
    assert len(fits.events) == 1
    (rejected,) = parse("track", deep(MAX_DEPTH - 1), received_at=NOW).rejected
    assert rejected.code == "too_deep"
    with pytest.raises(BadBody) as caught:
        parse("track", deep(200_000), received_at=NOW)
    assert caught.value.code == "too_deep"


@pytest.mark.parametrize("number", ["1e400000", "-1e999", "9" * 5000])
def test_a_number_too_large_costs_only_its_event(number):
    item = '{"type":"track","userId":"u","event":"e","properties":{"n":%s}}'
    body = f'{{"batch":[{item % number},{item % 1}]}}'
    parsed = parse("batch", body.encode(), received_at=NOW)
    assert len(parsed.events) == 1
    assert [r.code for r in parsed.rejected] == ["number_out_of_range"]


@pytest.mark.parametrize(
    ("call", "body", "code", "says"),
    [
        ("track", b"", "empty_body", "empty"),
        ("track", b" \n ", "empty_body", "empty"),
        ("track", b"{", "malformed_json", "after byte 1"),
        ("track", b'{"a":nope}', "malformed_json", "byte 6"),
        ("track", b'{"a":NaN}', "malformed_json", "byte 5"),
        ("track", b'{"a":"\xff"}', "malformed_json", "UTF-8"),
        ("track", b"[]", "wrong_type", "object"),
        ("track", b"5", "wrong_type", "object"),
        ("batch", b"{}", "missing_batch", "batch"),
        ("batch", b'{"batch":{}}', "wrong_type", "batch"),
        ("batch", b'{"batch":null}', "wrong_type", "batch"),
        ("batch", b'{"batch":[{"a":}]}', "malformed_json", "byte"),
        ("batch", b"x" * (MAX_BODY_BYTES + 1), "body_too_large", "512000"),
    ],
)
def test_a_body_that_cannot_be_read_is_said_so(call, body, code, says):
    with pytest.raises(BadBody) as caught:
        open_envelope(call, body)
    assert caught.value.code == code
    assert says in caught.value.message


def test_a_shared_context_cannot_be_multiplied_into_megabytes():
    body = {"context": {"a": "x" * 20_000}, "batch": [track()] * 2_000}
    with pytest.raises(BadBody) as caught:
        taken("batch", body)
    assert caught.value.code == "context_too_large"


def test_a_byte_order_mark_is_passed_over():
    body = b"\xef\xbb\xbf" + json.dumps(track()).encode()
    assert len(parse("track", body, received_at=NOW).events) == 1


def test_the_body_names_its_write_key():
    envelope = open_envelope("batch", b'{"batch":[],"writeKey":" k "}')
    assert envelope.write_key == "k"
    for odd in (b"5", b"null", b'""', b"{}"):
        body = b'{"batch":[],"writeKey":%b}' % odd
        assert open_envelope("batch", body).write_key is None


# -- any input ---------------------------------------------------------------

any_text = st.text(st.characters(blacklist_categories=()), max_size=20)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.text(min_size=490, max_size=520),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3)
    ),
    max_leaves=8,
)
likely = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(list(EventType)) | any_json,
        "event": st.text(max_size=210) | any_json,
        "name": st.text(max_size=210) | any_json,
        "userId": st.text(max_size=20) | st.integers() | any_json,
        "anonymousId": any_json,
        "previousId": st.text(max_size=5) | any_json,
        "groupId": any_json,
        "messageId": st.text(max_size=260) | any_json,
        "timestamp": any_json | st.datetimes().map(str),
        "sentAt": any_json | st.datetimes().map(str),
        "traits": st.dictionaries(any_text, any_json, max_size=3) | any_json,
        "properties": st.dictionaries(any_text, any_json, max_size=3) | any_json,
        "context": st.dictionaries(any_text, any_json, max_size=3) | any_json,
    },
)
bodies = (
    likely
    | any_json
    | st.fixed_dictionaries(
        {"batch": st.lists(likely | any_json, max_size=4)},
        optional={"context": any_json, "sentAt": any_json, "writeKey": any_json},
    )
)


def check_bounds(parsed):
    for event in parsed.events:
        assert 1 <= len(event.message_id) <= MAX_MESSAGE_ID_CHARS
        assert len(event.name) <= MAX_NAME_CHARS
        assert event.user_id or event.anonymous_id
        for one in (
            event.user_id, event.anonymous_id, event.previous_id, event.group_id
        ):  # fmt: skip
            assert one is None or (one == one.strip() and 1 <= len(one) <= MAX_ID_CHARS)
        assert event.occurred_at.tzinfo is UTC
        assert event.occurred_at <= NOW
        kept = json.dumps(
            [event.traits, event.properties, event.context, event.name,
             event.user_id, event.anonymous_id, event.message_id],
            ensure_ascii=False, allow_nan=False,
        )  # fmt: skip
        kept.encode()
        assert "\\u0000" not in kept
    for rejected in parsed.rejected:
        assert rejected.code
        assert rejected.detail
        assert len(rejected.body) <= MAX_REJECTED_CHARS
        for text in (
            rejected.detail,
            rejected.path,
            rejected.message_id,
            rejected.body,
        ):
            text.encode()
            assert "\x00" not in text


def attempt(call, body):
    try:
        return parse(call, body, received_at=NOW)
    except BadBody as error:
        return error


@given(st.sampled_from(sorted(CALLS)), bodies)
def test_any_json_gives_events_and_rejections_within_bounds(call, body):
    result = attempt(call, json.dumps(body).encode())
    if isinstance(result, BadBody):
        assert result.code in {"wrong_type", "missing_batch", "malformed_json"}
        return
    items = body["batch"] if CALLS[call] is None else [body]
    assert len(result.events) + len(result.rejected) == len(items)
    check_bounds(result)


@given(
    st.sampled_from(sorted(CALLS)),
    st.binary(max_size=200)
    | st.binary(max_size=60).map(
        lambda noise: b'{"batch":[{"type":"track","userId":"u","event":"%b"}]}' % noise
    ),
)
def test_any_bytes_raise_nothing_but_bad_body(call, body):
    result = attempt(call, body)
    if isinstance(result, BadBody):
        assert result.code
        assert result.message
    else:
        check_bounds(result)
