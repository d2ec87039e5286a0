"""What a fuzz found, as JSON and as tables between two marks of a page."""

import json

import pytest

from fuzz import library
from fuzz.crowd import MOST_LINES, Stage, trouble_in
from fuzz.library import Read
from fuzz.member import Tally
from fuzz.report import (
    READERS_RUN,
    REQUESTS,
    figures,
    marks,
    publish,
    publish_read,
    read_table,
    table,
    write,
    write_read,
)
from fuzz.run import Outcome
from fuzz.site import Held

BEGIN, END = marks(REQUESTS)


def a_stage(**values):
    given = {
        "name": "nobody", "events": 9, "lost": 0, "p50_ms": 1.0, "p99_ms": 2.0,
        "slowest_ms": 3.0, "health_p99_ms": 4.0, "crowd": "-", "log_lines": 0,
        "web_mb": 5.0,
    }  # fmt: skip
    return Stage(**{**given, **values})


@pytest.fixture
def outcome():
    tally = Tally(fruitful=1100, fruitless=90)
    tally.statuses.update(
        {("events, public key", 200): 1200, ("events, public key", 429): 3, ("admin", 0): 1}
    )  # fmt: skip
    tally.slowest_s = {"events, public key": 0.5, "admin": 0.25}
    held = [Held(mb=100.0 + n, files=7, threads=8, sessions=9) for n in range(4)]
    return Outcome(
        seed=7, postgres="17.2", webhooks_fruitful=30, tally=tally, held=held,
        quarters_s=[1.0] * 4, stages=[a_stage()],
    )  # fmt: skip


@pytest.fixture
def read():
    made = Read(8, took_s=3.0, held_mb=[30.0, 31.0, 31.5, 31.6])
    for name in library.READERS:
        made.counts.update({(name, "taken"): 60, (name, "refused"): 40})
    made.counts["templates", "not rendered"] = 5
    made.slowest_s = {"templates": 0.0251}
    return made


def test_figures_and_tables_say_the_same(outcome, tmp_path):
    told = write(outcome, tmp_path / "results" / "fuzz.json")
    assert json.loads((tmp_path / "results" / "fuzz.json").read_text()) == told
    assert (told["requests"], told["past_key_and_parser"]) == (1204, 1200)
    assert told["brought_something_accepted"] == 1130
    assert told["host"]["pg"] == "17.2"
    text = table(told)
    assert "1,200 got past key and parser" in text
    assert "1,130 of those brought something" in text
    assert "1,100 calls an event, 30 signed webhooks" in text
    assert "of 90 calls every event was rejected" in text
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


def test_the_readers_have_a_part_of_their_own(outcome, read, tmp_path):
    path = tmp_path / "fuzz.json"
    told = write_read(read, path)
    requests = write(outcome, path)
    assert json.loads(path.read_text()) == {**requests, "readers": told}
    read.held_mb = [1.0, 2.0, 3.0, 4.0]
    again = write_read(read, path)
    assert again != told
    assert json.loads(path.read_text()) == {**requests, "readers": again}


def test_a_page_keeps_the_readers_apart_from_the_requests(outcome, read, tmp_path):
    page = tmp_path / "security.md"
    both = [*marks(REQUESTS), "between\n", *marks(READERS_RUN), "\nafter\n"]
    page.write_text("".join(both))
    publish(write(outcome, tmp_path / "fuzz.json"), page)
    before = page.read_text()
    publish_read(write_read(read, tmp_path / "fuzz.json"), page)
    requests, _, _ = before.partition("between\n")
    assert page.read_text().startswith(requests + "between\n")
    assert "FUZZ_SEED=8. Read in 3 s." in page.read_text()
    assert page.read_text().endswith(f"{marks(READERS_RUN)[1]}\nafter\n")


def test_the_readers_table_says_what_was_accepted(read, tmp_path):
    text = read_table(write_read(read, tmp_path / "fuzz.json"))
    assert "| calls | 100 | 60 | refused: 40 | 0.0 |" in text
    assert "| templates | 105 | 60 | not rendered: 5, refused: 40 | 25.1 |" in text
    assert "held 30.0, 31.0, 31.5, 31.6 MB" in text
    assert text.endswith("Nothing was found.")


def test_a_reader_that_fails_hangs_or_grows_is_found(monkeypatch):
    def reader(rng):
        if rng.random() < 0.5:
            raise KeyError("x")
        return "taken"

    monkeypatch.setattr(library, "READERS", {"x": reader})
    monkeypatch.setattr(library, "SLOW_S", 0.0)
    monkeypatch.setattr(library, "MOST_GROWTH_MB", -1.0)
    monkeypatch.setattr(library, "SHOWN", 1_000)
    read = library.run(1, 40)
    assert 0 < read.accepted("x") < 40
    assert read.accepted("x") + read.refused("x")["failed"] == 40
    assert any("KeyError('x')" in line for line in read.found)
    assert any("took 0.0 s" in line for line in read.found)
    assert any("process grew" in line for line in read.found)


@pytest.mark.parametrize(
    ("stage", "is_fine"),
    [({}, True), ({"lost": 1}, False), ({"log_lines": MOST_LINES + 1}, False)],
    ids=["fine", "lost", "loud"],
)
def test_what_a_crowd_may_not_do(stage, is_fine):
    assert (trouble_in([a_stage(**stage)]) == []) is is_fine
