"""docs/reliability.md names tests and lines that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
LINES = sorted(set(re.findall(r"`(campaigns/[\w/]+\.(?:py|sql))`: `([^`]+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:tests|campaigns)/[\w/]+\.(?:py|sql))", TEXT)))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_a_test_that_is_named_exists(path, name):
    assert re.search(
        rf"^\s*def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize(("path", "line"), LINES)
def test_a_line_that_is_named_exists(path, line):
    assert line in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("number", range(1, 12))
def test_every_invariant_has_a_test_and_a_line_that_was_tried(number):
    (section,) = re.findall(rf"\n## {number}\. (.*?)(?=\n## )", TEXT, re.DOTALL)
    assert "::test_" in section
    assert "●" in section
