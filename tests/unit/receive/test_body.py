"""Bodies are read within bounds."""

import gzip
import io
import zlib

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from campaigns.receive.body import read_body
from campaigns.receive.wire.base import BadBody

LIMIT = 1000


def posted(body, **extra):
    return RequestFactory().post(
        "/v1/track", data=body, content_type="application/json", **extra
    )


def chunked(body):
    request = posted(b"")
    request.META.pop("CONTENT_LENGTH", None)
    request.META["HTTP_TRANSFER_ENCODING"] = "chunked"
    request.META["wsgi.input"] = io.BytesIO(body)
    return request


def code_of(request):
    with pytest.raises(BadBody) as caught:
        read_body(request, limit=LIMIT)
    return caught.value.code


def test_a_body_up_to_the_limit_is_read():
    assert read_body(posted(b"x" * LIMIT), limit=LIMIT) == b"x" * LIMIT
    assert read_body(chunked(b"x" * LIMIT), limit=LIMIT) == b"x" * LIMIT


def test_a_longer_one_is_refused_before_it_is_read():
    request = posted(b"")
    request.META["CONTENT_LENGTH"] = "10000000"
    request._stream = None
    assert code_of(request) == "body_too_large"


def test_a_longer_chunked_one_is_read_only_up_to_the_limit():
    request = chunked(b"x" * 100_000)
    assert code_of(request) == "body_too_large"
    assert request.META["wsgi.input"].tell() == LIMIT + 1


def test_a_body_without_length_and_chunks_is_empty():
    request = posted(b"")
    request.META["CONTENT_LENGTH"] = ""
    assert read_body(request, limit=LIMIT) == b""


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 16, "٣"])
def test_an_odd_length_is_said_so(length):
    request = posted(b"abc")
    request.META["CONTENT_LENGTH"] = length
    assert code_of(request) == "bad_length"


def test_a_body_cut_short_is_said_so():
    request = posted(b"abc")
    request.META["CONTENT_LENGTH"] = "10"
    assert code_of(request) == "incomplete_body"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", " GZIP "])
def test_gzip_is_inflated(coding):
    request = posted(gzip.compress(b"hello", mtime=0), HTTP_CONTENT_ENCODING=coding)
    assert read_body(request, limit=LIMIT) == b"hello"


def test_several_gzip_members_are_one_body():
    body = gzip.compress(b"a") + gzip.compress(b"b")
    assert read_body(posted(body, HTTP_CONTENT_ENCODING="gzip"), limit=LIMIT) == b"ab"


def test_a_gzip_bomb_is_refused_after_the_limit():
    bomb = gzip.compress(b"\0" * 200_000)
    assert len(bomb) < LIMIT
    assert code_of(posted(bomb, HTTP_CONTENT_ENCODING="gzip")) == "body_too_large"


@pytest.mark.parametrize(
    "body", [b"{}", gzip.compress(b"hello", mtime=0)[:-4], zlib.compress(b"hello")]
)
def test_what_is_not_gzip_is_said_so(body):
    assert code_of(posted(body, HTTP_CONTENT_ENCODING="gzip")) == "bad_gzip"


def test_other_codings_are_refused():
    assert code_of(posted(b"x", HTTP_CONTENT_ENCODING="br")) == "unknown_encoding"


@given(st.binary(max_size=300))
def test_any_bytes_called_gzip_give_bytes_or_a_clear_refusal(body):
    request = posted(body, HTTP_CONTENT_ENCODING="gzip")
    try:
        assert len(read_body(request, limit=LIMIT)) <= LIMIT
    except BadBody as error:
        said = error.message
        return_code = error.code
    else:
        return
    assert said
    assert return_code in {"bad_gzip", "body_too_large"}
