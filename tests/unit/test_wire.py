"""Columns of any length are written right, and leave nothing behind."""

import tracemalloc
from struct import pack

import pytest

from campaigns.deciding import wire

LENGTHS = (1, 2, 99, 100, 101, 200, 1_000, 9_999)
MB = 2**20


@pytest.fixture
def statement(monkeypatch):
    text = b"SELECT %(value)s::bigint[], %(small)s::smallint[]"
    monkeypatch.setattr(wire, "load", lambda _: text)
    wire.statement.cache_clear()
    yield wire.statement("columns")
    wire.statement.cache_clear()


def head(oid, length):
    """Dimensions, whether there are nulls, the elements' type, their number, the first."""
    return pack(">iiIii", 1, 1, oid, length, 1)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_column_is_its_head_and_each_value_behind_its_length(statement, length):
    values = list(range(-length, 0))
    written, small = statement.parameters({"value": values, "small": values})
    assert written == head(20, length) + b"".join(pack(">iq", 8, v) for v in values)
    assert small == head(21, length) + b"".join(pack(">ih", 2, v) for v in values)


def test_columns_of_many_lengths_leave_no_memory_behind(statement):
    tracemalloc.start()
    try:
        for length in range(1_000, 9_000, 50):
            values = list(range(length))
            statement.parameters({"value": values, "small": values})
        del values
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 * MB
