"""docs/security.md names tests that exist, and leaves out no requirement, path or table."""

import re
from collections import Counter
from pathlib import Path

import pytest
from django.apps import apps
from django.urls import get_resolver

from emailtriggers.ways import ROUTES
from tests.unit.asvs import REQUIREMENTS, named

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)", TEXT)))
STATES = {
    "met: ": r"`tests/",
    "met in part: ": r"`tests/",
    "not met: ": r"\w",
    "not met, on purpose: ": r"\w",
    "not applicable, because ": r"\w",
    "documented: ": r"\]\([\w.]+\.md#",
}


def rows(heading, first):
    """Return the cells of a section's table, whose first column is called so."""
    section = TEXT.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    table = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert table[0][0] == first
    return table[1:]


ASVS = rows("OWASP ASVS", "requirement")
ENDPOINTS = rows("By endpoint", "path")
KEPT = rows("What is kept", "what")


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


# --- The standard ------------------------------------------------------------
def test_each_requirement_is_in_one_row():
    times = Counter(one for row in ASVS for one in named(row[0]))
    assert sorted(REQUIREMENTS - times.keys()) == []
    assert sorted(times.keys() - REQUIREMENTS) == [], "of level 3, deleted, or none"
    assert {one: n for one, n in times.items() if n > 1} == {}
    assert f"each of its {len(REQUIREMENTS)} requirements" in TEXT


def test_each_row_says_how_it_stands_and_what_is_met_names_a_test():
    for ids, asks, how, state in ASVS:
        assert asks, ids
        assert how, ids
        (reason,) = [
            proof for begins, proof in STATES.items() if state.startswith(begins)
        ]
        assert re.search(reason, state.partition(" ")[2]), ids


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("2.1.9", ["2.1.9"]),
        ("2.1.3 to 2.1.5, 9.2.1", ["2.1.3", "2.1.4", "2.1.5", "9.2.1"]),
        ("13.4, 1.12", ["13.4.1", "13.4.2", "1.12.2"]),
        ("4.1", ["4.1.1", "4.1.2", "4.1.3", "4.1.5"]),
    ],
    ids=["one", "range", "sections", "section-with-a-gap"],
)
def test_ranges_and_sections_are_understood(cell, found):
    assert named(cell) == found


@pytest.mark.parametrize("cell", ["2.1.5 to 2.1.3", "2.1.1 to 2.2.3", "2.1.1 to 2"])
def test_what_is_no_range_is_refused(cell):
    with pytest.raises(ValueError, match=r"no range"):
        named(cell)


# --- Paths -------------------------------------------------------------------
def served():
    """Return the paths that the site knows, without what is below the admin."""

    def leaves(patterns, before=""):
        for each in patterns:
            path = before + str(each.pattern)
            below = getattr(each, "url_patterns", ())
            inside = bool(below) and path != "admin/"
            yield from leaves(below, path) if inside else [path]

    plain = [re.sub(r"\(\?P<(\w+)>[^)]*\)|<\w+:(\w+)>", r"<\1\2>", path)
             for path in leaves(get_resolver().url_patterns)]  # fmt: skip
    return {"/" + re.sub(r"\^|/\?\$|\$", "", path) for path in plain}


def test_each_path_has_a_row_with_who_what_limits_it_and_tests():
    paths = [path for row in ENDPOINTS for path in re.findall(r"`(/[^`]*)`", row[0])]
    assert len(paths) == len(set(paths))
    # Neither is the resolver's: the one is the admin's own, the other WhiteNoise's.
    assert set(paths) == served() | {"/admin/login/", "/static/<name>"}
    assert [p for p in ROUTES if not any(path.startswith(p) for path in paths)] == []
    for path, who, limits, attacked in ENDPOINTS:
        assert who, path
        assert limits, path
        assert "`tests/" in attacked, path


# --- Tables ------------------------------------------------------------------
def test_each_table_is_in_one_row_of_what_is_kept():
    models = apps.get_app_config("campaigns").get_models()
    told = Counter(name for row in KEPT for name in re.findall(r"`(\w+)`", row[1]))
    assert told == Counter(model._meta.model_name for model in models)
    for what, _tables, *cells in KEPT:
        assert all(cells), what
