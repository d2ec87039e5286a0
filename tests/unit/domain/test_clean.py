"""JSON becomes storable, or says why it cannot."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.clean import (
    MAX_DEPTH,
    MAX_KEYS,
    Mended,
    Unfit,
    looks_clean,
    mark_lone_surrogates,
    mend,
    mend_text,
)

any_text = st.text(st.characters(blacklist_categories=()))
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.sampled_from([2**64, -(2**63) - 1, 10**4000, float("inf")]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4)
    ),
    max_leaves=30,
)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@given(any_json)
def test_mended_json_is_storable_and_mending_again_changes_nothing(value):
    result = mend(value)
    if isinstance(result, Unfit):
        assert result.code == "number_out_of_range"
        return
    text = json.dumps(result.value, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()
    assert mend(result.value) == Mended(result.value)


def test_nul_and_lone_surrogates_are_replaced_in_values_and_keys_and_noted():
    assert mend({"a\x00": ["b\ud800c"]}) == Mended(
        {"a\ufffd": ["b\ufffdc"]}, ("nul-replaced", "surrogate-replaced")
    )
    assert mend_text("x\x00\udfff") == "x\ufffd\ufffd"


@pytest.mark.parametrize(
    ("number", "text"),
    [(2**64, "18446744073709551616"), (-(2**63) - 1, "-9223372036854775809")],
)
def test_integers_beyond_64_bits_become_text(number, text):
    assert mend([number]) == Mended([text], ("number-as-text",))


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, True, 1.5])
def test_numbers_that_fit_stay(number):
    assert mend([number]) == Mended([number])


def test_an_integer_of_too_many_digits_for_text_is_still_text():
    assert mend(10**5000) == Mended(hex(10**5000), ("number-as-text",))


def test_depth_is_capped_at_the_limit_and_not_before():
    assert isinstance(mend(nested(MAX_DEPTH)), Mended)
    result = mend(nested(MAX_DEPTH + 1))
    assert isinstance(result, Unfit)
    assert result.code == "too_deep"


def test_keys_are_counted_over_the_whole_value():
    half = {str(i): 0 for i in range(MAX_KEYS // 2)}
    assert isinstance(mend([half, half]), Mended)
    result = mend([half, half, {"one": 1}])
    assert isinstance(result, Unfit)
    assert result.code == "too_many_keys"


def test_what_json_does_not_have_is_unfit():
    result = mend({"a": object()})
    assert isinstance(result, Unfit)
    assert result.code == "not_json"


@given(any_json)
def test_json_that_looks_clean_needs_no_mending(value):
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return
    body = mark_lone_surrogates(text.encode())
    if looks_clean(body):
        assert mend(json.loads(body)) == Mended(json.loads(body))


@given(any_text)
def test_marking_keeps_the_length_and_only_touches_lone_surrogates(text):
    body = json.dumps(text).encode()
    marked = mark_lone_surrogates(body)
    assert len(marked) == len(body)
    lone = json.loads(body) != json.loads(body).encode(errors="replace").decode()
    if not lone:
        assert marked == body
    json.loads(marked).encode()


def test_an_escaped_backslash_before_a_surrogates_digits_is_text():
    assert mark_lone_surrogates(rb'"\\ud800"') == rb'"\\ud800"'
    assert mark_lone_surrogates(rb'"\\\ud800"') == rb'"\\\ufdd0"'
    assert mark_lone_surrogates(rb'"\ud83d\ude00"') == rb'"\ud83d\ude00"'
