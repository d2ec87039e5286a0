"""What a fuzz found, as JSON and as tables between two marks of a page."""

import json

import pytest

from fuzz.crowd import MOST_LINES, Stage, trouble_in
from fuzz.member import Tally
from fuzz.report import BEGIN, END, figures, publish, table, write
from fuzz.run import Outcome
from fuzz.site import Held


def a_stage(**values):
    given = {
        "name": "nobody", "events": 9, "lost": 0, "p50_ms": 1.0, "p99_ms": 2.0,
        "slowest_ms": 3.0, "health_p99_ms": 4.0, "crowd": "-", "log_lines": 0,
        "web_mb": 5.0,
    }  # fmt: skip
    return Stage(**{**given, **values})


@pytest.fixture
def outcome():
    tally = Tally()
    tally.statuses.update(
        {("events, public key", 200): 1200, ("events, public key", 429): 3, ("admin", 0): 1}
    )  # fmt: skip
    tally.slowest_s = {"events, public key": 0.5, "admin": 0.25}
    held = [Held(mb=100.0 + n, files=7, threads=8, sessions=9) for n in range(4)]
    return Outcome(
        seed=7, tally=tally, held=held, quarters_s=[1.0] * 4, stages=[a_stage()]
    )


def test_figures_and_tables_say_the_same(outcome, tmp_path):
    told = write(outcome, tmp_path / "results" / "fuzz.json")
    assert json.loads((tmp_path / "results" / "fuzz.json").read_text()) == told
    assert (told["requests"], told["past_key_and_parser"]) == (1204, 1200)
    text = table(told)
    assert "| events, public key † | 200: 1,200, 429: 3 | 0.50 |" in text
    assert "| admin | no answer owed: 1 | 0.25 |" in text
    assert "| 4 | 103.0 | 7 | 8 | 9 |" in text
    assert "| nobody | 0 of 9 | 1.0 | 2.0 | 3.0 | 4.0 | - | 0 | 5.0 |" in text
    assert text.endswith("Nothing was found.")


def test_what_was_found_is_told(outcome):
    outcome.breaches.append("answered 500: b'POST'")
    text = table(figures(outcome))
    assert "FOUND (1)\n  answered 500: b'POST'" in text
    assert text.endswith("red")


def test_a_page_keeps_the_last_run_alone(outcome, tmp_path):
    page = tmp_path / "security.md"
    page.write_text(f"before\n{BEGIN}{END}\nafter\n")
    told = write(outcome, tmp_path / "fuzz.json")
    publish(told, page)
    first = page.read_text()
    publish(told, page)
    assert page.read_text() == first
    assert first.startswith("before\n")
    assert first.endswith(f"{END}\nafter\n")
    assert "FUZZ_SEED=7" in first


def test_a_page_without_marks_is_left_alone(outcome, tmp_path):
    page = tmp_path / "security.md"
    page.write_text("before\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        publish(write(outcome, tmp_path / "fuzz.json"), page)
    assert page.read_text() == "before\n"


@pytest.mark.parametrize(
    ("stage", "is_fine"),
    [({}, True), ({"lost": 1}, False), ({"log_lines": MOST_LINES + 1}, False)],
    ids=["fine", "lost", "loud"],
)
def test_what_a_crowd_may_not_do(stage, is_fine):
    assert (trouble_in([a_stage(**stage)]) == []) is is_fine
