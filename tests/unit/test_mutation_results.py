"""docs/reliability.md tells what `make mutate` found, and each survivor has a reason."""

import re
from pathlib import Path

import pytest

from tests.mutation.results import (
    TABLE_END,
    TABLE_START,
    Module,
    Survivor,
    accepted,
    as_json,
    modules,
    read,
    reasons,
    table,
    troubles,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
CORE = {"conditions", "matching", "timing", "react", "steps", "gate", "settle"}


def test_the_core_is_mutated():
    assert set(modules()) >= CORE
    for name in modules():
        assert (ROOT / "campaigns" / "domain" / f"{name}.py").is_file()


def test_the_page_shows_the_latest_results_and_they_are_good():
    found = read()
    assert found
    assert set(found) <= set(modules())
    assert troubles(found) == []
    shown = PAGE.partition(TABLE_START)[2].partition(TABLE_END)[0]
    assert shown.strip() == table(found).strip()


def test_every_mutant_is_accounted_for():
    for each in read().values():
        assert each.mutants == each.killed + each.timed_out + len(each.survivors)


def test_every_reason_for_one_module_is_needed():
    """A reason for what no longer survives would hide what does so next."""
    found = read()
    survivors = [(n, s) for n, each in found.items() for s in each.survivors]
    for module, pattern, why in reasons():
        if module == "*" or module not in found:
            continue
        assert any(
            name == module and pattern.search(f"{s.was} -> {s.became}")
            for name, s in survivors
        ), why


def test_the_tests_that_are_asked_exist():
    named = re.findall(
        r'"(tests/unit/[\w/]+\.py)"', (ROOT / "pyproject.toml").read_text()
    )
    assert named
    for path in named:
        assert (ROOT / path).is_file()


UNKNOWN = Survivor("gate", "a < b", "a <= b", "")


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Module(10, 7, 0, ()), "only 70.0 % noticed"),
        (Module(10, 9, 0, (UNKNOWN,)), "may become: a <= b"),
    ],
    ids=["too-few", "no-reason"],
)
def test_too_few_and_unexplained_survivors_are_troubles(module, says):
    (trouble,) = troubles({"gate": module})
    assert says in trouble


def test_what_never_ends_is_noticed():
    assert Module(10, 7, 2, ()).percent == 90
    assert troubles({"gate": Module(10, 6, 2, ())}) == []


def test_a_reason_is_found_by_module_and_change():
    assert accepted("gate", 'cast("str", x)', "cast(None, x)")
    assert accepted("gate", "a < b", "a <= b") == ""


def test_results_are_kept_as_they_are_read():
    assert '"became": "a <= b"' in as_json({"gate": Module(1, 0, 0, (UNKNOWN,))})
