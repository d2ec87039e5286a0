"""docs/security.md names tests that exist, and says of each requirement how it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)", TEXT)))
SECTION = TEXT.split("## OWASP ASVS", 1)[1].split("\n## ", 1)[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.splitlines()
    if line.startswith("| ") and not line.startswith("| requirement ")
]
CHAPTERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)


@pytest.mark.parametrize(
    ("path", "name"), TESTS, ids=[f"{p.split('/')[-1]}-{n}" for p, n in TESTS]
)
def test_a_test_that_is_named_exists(path, name):
    assert re.search(
        rf"^\s*def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()


def test_each_requirement_has_a_state_and_what_is_met_a_test():
    assert len(ROWS) > 60
    for ids, asks, how, state in ROWS:
        assert re.fullmatch(r"\d+(\.\d+)+(( to|,) \d+(\.\d+)+)*", ids), ids
        assert asks, ids
        assert how, ids
        assert state.startswith(("met", "not met", "not applicable")), ids
        if state.startswith("met") and "nothing to test" not in state:
            assert "`tests/" in state, ids


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_of_the_standard_was_looked_at(chapter):
    assert any(row[0].startswith(f"{chapter}.") for row in ROWS)
