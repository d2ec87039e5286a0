"""docs/settings.md names every variable that the code reads, as the code reads it."""

import ast
from pathlib import Path

import pytest

from emailtriggers.variables import (
    SETTINGS,
    WORDS,
    Undescribed,
    Words,
    page,
    secrets,
    variables,
)

ROOT = Path(__file__).parents[2]
# Set for Django or between our own processes, and nobody's to choose.
INTERNAL = {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR"}
OURS = ("campaigns", "emailtriggers", "demo")


def read_past_the_settings(source):
    """Return the names of variables that code reads from os.environ itself."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and is_environ(node.value):
            found.add(ast.unparse(node.slice).strip("'\""))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asks = is_environ(node.func.value) or ast.unparse(node.func) == "os.getenv"
            if asks and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
    return found


def is_environ(node):
    return ast.unparse(node) == "os.environ"


def test_the_page_is_what_the_code_says():
    made = page(SETTINGS.read_text(encoding="utf-8"))
    kept = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert kept == made, "run: python manage.py settings_table --write"


def test_no_variable_is_read_past_the_settings():
    files = [p for folder in OURS for p in (ROOT / folder).rglob("*.py")]
    names = {
        name
        for path in files
        for name in read_past_the_settings(path.read_text(encoding="utf-8"))
        if name.isupper()  # `name` is the parameter of a reader in bounded.py
    }
    assert names - INTERNAL <= WORDS.keys()


def test_every_row_has_a_default_or_says_none():
    rows = page(SETTINGS.read_text(encoding="utf-8")).splitlines()
    cells = [row.split("|") for row in rows if row.startswith("| `")]
    assert len(cells) == len(WORDS)
    assert [c[1] for c in cells if not c[2].strip()] == []


def test_what_is_read_is_found_with_its_default_and_limits():
    source = (
        'SECRETS = ("KEY",)\n'
        'KEY = secret(env, "KEY", keep_in=None)\n'
        'A = env.str("A", default="x")\n'
        'B = integer(env, "B", 10_000, low=1, high=24 * 30)\n'
        'C = choice(env, "C", ("one", "two"))\n'
        'D = boolean(env, "D", default=False)\n'
        'E = other("E")\n'
    )
    assert [(v.name, v.default, v.limits) for v in variables(source)] == [
        ("KEY", "", ""),
        ("A", "x", ""),
        ("B", "10000", "1 to 720"),
        ("C", "one", "one, two"),
        ("D", "no", ""),
    ]
    assert secrets(source) == {"KEY"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('A = env.str("A")', {}),
        ("", {"A": Words("nothing", "nobody")}),
    ],
    ids=["a variable without words", "words without a variable"],
)
def test_words_and_variables_must_agree(source, words):
    with pytest.raises(Undescribed, match="do not agree on: A"):
        page(source, words)
