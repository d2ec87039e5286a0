import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.tokens import (
    UnsubscribeToken,
    make_unsubscribe_token,
    read_unsubscribe_token,
)

KEY = b"k" * 32
OLD = b"o" * 32
IDS = st.integers(min_value=1, max_value=2**64 - 1)


def token(topic_id=3, key=KEY):
    return make_unsubscribe_token(7, 8, topic_id, b"h" * 16, key=key)


@given(IDS, IDS, st.none() | IDS, st.binary(max_size=32), st.binary(min_size=1))
def test_a_token_says_what_went_in(message, customer, topic, digest, key):
    made = make_unsubscribe_token(message, customer, topic, digest, key=key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{50,130}", made)
    assert read_unsubscribe_token(made, keys=[key]) == UnsubscribeToken(
        message, customer, topic, digest
    )


def test_an_old_key_still_reads_after_rotation():
    assert read_unsubscribe_token(token(key=OLD), keys=[KEY, OLD]) is not None
    assert read_unsubscribe_token(token(key=OLD), keys=[KEY]) is None


@given(st.data())
def test_any_flipped_bit_fails(data):
    made = bytearray(token().encode())
    place = data.draw(st.integers(0, len(made) - 1))
    made[place] ^= 1 << data.draw(st.integers(0, 7))
    assert read_unsubscribe_token(made.decode("latin-1"), keys=[KEY]) is None


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text):
    assert read_unsubscribe_token(text, keys=[KEY]) is None


def test_a_token_has_one_spelling():
    made = token()
    for other in (
        made + "=",
        made + "==",
        made + "\n",
        " " + made,
        made + "A",
        made[:-1],
    ):
        assert read_unsubscribe_token(other, keys=[KEY]) is None


def test_a_token_of_one_topic_is_not_that_of_another():
    assert token(topic_id=3) != token(topic_id=4) != token(topic_id=None)


def test_without_a_key_nothing_is_made_or_read():
    assert read_unsubscribe_token(token(), keys=[]) is None
    assert read_unsubscribe_token(token(), keys=[b""]) is None
    with pytest.raises(ValueError, match="key"):
        make_unsubscribe_token(1, 2, 3, b"", key=b"")


@pytest.mark.parametrize(
    ("message", "customer", "topic", "digest"),
    [(-1, 2, 3, b""), (1, 2**64, 3, b""), (1, 2, 0, b""), (1, 2, 3, b"x" * 33)],
)
def test_what_does_not_fit_is_refused(message, customer, topic, digest):
    with pytest.raises(ValueError, match=r"fit|at least 1|at most 32"):
        make_unsubscribe_token(message, customer, topic, digest, key=KEY)
