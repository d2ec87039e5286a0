"""How `make bench` makes ratios and verdicts of what it measured."""

import json
import socket
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import load as loading
from bench import options, publish, run
from bench.client import Line, Spec, Told, post
from bench.measure import Cpu, Sample, percentile
from bench.results import Ratio, Report, WrongResult, figures, table

HOST = {"cores": 2, "cpu": "a CPU", "memory_gb": 8, "system": "Linux", "pkgs": {}}
HOST |= {"pg": "18", "python": "3.11"}


def report(ratio, **samples):
    """A report of one ratio; samples are (pieces, seconds) pairs by scenario."""
    made = Report(ratios=[ratio])
    for name, pairs in samples.items():
        for n, seconds in pairs:
            made.add(name, Sample(n, seconds, Cpu(own=seconds / 2)))
    return made


def test_a_rate_is_compared_with_its_neighbour_of_the_same_repeat():
    ratio = Ratio(id="r", title="ours / theirs", num="a", den="b", target=0.5)
    made = report(ratio, a=[(10, 1), (30, 1), (8, 1)], b=[(10, 1), (10, 1), (10, 1)])
    (reached,) = made.reached()
    assert reached.values == (1.0, 3.0, 0.8)
    assert reached.median == 1.0
    assert reached.by_cpu == pytest.approx((1.0, 3.0, 0.8))
    assert reached.passed is True
    assert made.missed() == []


@pytest.mark.parametrize(
    ("slowest", "cpu_s", "judged", "verdict"),
    [
        (1.5, 1.2, "clock", "reached"),
        (1.6, 1.2, "cpu", "**missed** (by CPU)"),
        (1.6, 1.0, "cpu", "reached (by CPU)"),
        (1.6, 0.0, "clock", "reached"),
    ],
    ids=["steady", "noisy and dear", "noisy and cheap", "noisy without CPU"],
)
def test_a_noisy_clock_gives_way_to_processor_time(slowest, cpu_s, judged, verdict):
    ratio = Ratio(id="r", title="ours / theirs", num="a", den="b", target=0.9)
    made = Report(ratios=[ratio])
    for seconds in (1.0, 1.0, slowest):
        made.add("a", Sample(10, seconds, Cpu(own=cpu_s)))
        made.add("b", Sample(10, 1.0, Cpu(own=1.0)))
    (reached,) = made.reached()
    assert reached.median == 1.0
    assert (reached.as_json()["judged"], reached.verdict) == (judged, verdict)
    assert reached.as_json()["pass"] is (len(made.missed()) == 0)
    assert table([reached]).endswith(f"| ≥ 0.90 | {verdict} |")


@pytest.mark.parametrize(
    ("by", "many", "passed"),
    [("cost", (10, 1.2), True), ("cost", (10, 1.4), False), ("rate", (10, 0.7), True)],
    ids=["cheap enough", "too dear", "fast enough"],
)
def test_less_cost_and_more_rate_are_better(by, many, passed):
    ratio = Ratio(id="r", title="t", num="a", den="b", by=by, target=1.3)
    made = report(ratio, a=[many], b=[(10, 1)])
    assert made.reached()[0].passed is passed
    assert len(made.missed()) == (not passed)


def test_a_late_percentile_is_a_figure_of_its_own():
    ratio = Ratio(id="late", title="p99", num="a", by="p99", target=250, unit=" ms")
    made = Report(ratios=[ratio])
    made.add("a", Sample(100, 1.0, latencies_ms=[float(n) for n in range(101)]))
    (reached,) = made.reached()
    assert reached.median == pytest.approx(99)
    assert reached.as_json() | {"pass": None} == {
        "id": "late",
        "title": "p99",
        "num": "a",
        "den": None,
        "by": "p99",
        "unit": " ms",
        "median": 99.0,
        "min": 99.0,
        "max": 99.0,
        "cpu_median": None,
        "noisy": False,
        "judged": "clock",
        "target": 250,
        "pass": None,
    }


def test_what_did_not_run_has_no_ratio():
    ratio = Ratio(id="r", title="t", num="a", den="b", target=1)
    assert report(ratio, a=[(10, 1)]).reached() == []


def test_the_table_says_what_was_missed():
    ratio = Ratio(id="r", title="ours / theirs", num="a", den="b", target=0.5)
    made = report(ratio, a=[(10, 1)], b=[(100, 1)])
    assert "| ours / theirs | 0.10 | 0.10 to 0.10 |" in table(made.reached())
    assert "≥ 0.50 | **missed** |" in table(made.reached())
    assert "| `b` | 100 |" in figures(made)


@pytest.mark.parametrize(
    ("values", "found"),
    [([], None), ([7.0], 7.0), ([1.0, 2.0, 3.0], 2.0)],
    ids=["none", "one", "some"],
)
def test_percentiles_of_few_values(values, found):
    assert percentile(values, 50) == found


def options_writing_to(folder):
    chosen = options.read(["--quick", "--json", str(folder / "latest.json")], names=())
    page = folder / "performance.md"
    page.write_text(f"# Performance\n\n{publish.MARK}")
    return replace(chosen, history=page)


def test_runs_are_added_to_the_page_newest_first(tmp_path):
    chosen = options_writing_to(tmp_path)
    for title in ("older", "newer"):
        ratio = Ratio(id="r", title=title, num="a", den="b", target=0.5)
        made = report(ratio, a=[(10, 1)], b=[(10, 1)])
        publish.write(chosen, made, host=HOST, seconds=90)
    page = chosen.history.read_text()
    assert page.index("newer") < page.index("older")
    assert page.count(publish.MARK) == 1
    found = json.loads(chosen.json.read_text())
    assert found["ratios"][0]["pass"] is True
    assert [row["scenario"] for row in found["results"]] == ["a", "b"]


def test_a_wrong_run_is_not_part_of_the_history(tmp_path):
    chosen = options_writing_to(tmp_path)
    made = Report(wrong=["ingest: events: 9, and not 10"])
    publish.write(chosen, made, host=HOST, seconds=90)
    assert chosen.history.read_text() == f"# Performance\n\n{publish.MARK}"
    assert json.loads(chosen.json.read_text())["wrong"] == made.wrong


def test_an_unwanted_run_leaves_the_page_alone():
    assert options.read(["--quick", "--no-history"], names=()).history is None
    assert options.read(["--quick"], names=()).history == options.HISTORY


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ([], options.WHOLE),
        (["--timers", "7"], options.WHOLE),
        (["--quick"], options.PART),
        (["--only", "hot"], options.PART),
        (["--only", "hot", "--json", "/tmp/some.json"], Path("/tmp/some.json")),
    ],
    ids=["whole", "whole and more", "quick", "only some", "named"],
)
def test_a_part_of_a_run_leaves_the_last_whole_one_alone(asked, where):
    assert options.read(asked, names=("hot",)).json == where
    kept_out = (options.HISTORY.parents[1] / ".gitignore").read_text().splitlines()
    assert "/bench/results/part.json" in kept_out
    assert options.PART.parts[-3:] == ("bench", "results", "part.json")


def test_titles_say_how_much_there_was():
    sizes = replace(
        options.read(["--quick", "--timers", "7654321"], names=()).sizes,
        connections=63, stored_events=1_234_567, stored_people=7_001, rules=4_321,
        due_per_s=77,
    )  # fmt: skip
    titles = [r.title for s in run.SCENARIOS for r in s.ratios(sizes)]
    for figure, times in {
        "7,654,321 timers": 1,
        "7,654,321 mails": 1,
        "63 connections": 3,
        "63 people": 1,
        "1,234,567 events and 7,001 customers stored / none and 7,001": 1,
        "4,321 active rules / 10": 1,
        "77 due a second": 1,
    }.items():
        assert len([title for title in titles if figure in title]) == times, figure
    assert not [title for title in titles if "million" in title]


def test_of_a_scenario_that_does_wrong_nothing_else_is_written(tmp_path):
    said = []

    class Run:
        report = Report()
        sizes = options.QUICK
        say = staticmethod(said.append)

    def scenario(name, *, wrong):
        def measure(bench):
            for side in ("num", "den"):
                bench.report.add(f"{name}.{side}", Sample(10, 1))
            if wrong:
                raise WrongResult("events: 9, and not 10")

        def ratios(_sizes):
            sides = {"num": f"{name}.num", "den": f"{name}.den"}
            return [Ratio(id=name, title=name, target=0.5, **sides)]

        return run.Scenario(name, measure, ratios)

    for name, wrong in (("hot", False), ("web", True), ("tls", False)):
        run.one(Run(), scenario(name, wrong=wrong))
    assert "web: wrong: events: 9, and not 10" in said
    chosen = options_writing_to(tmp_path)
    publish.write(chosen, Run.report, host=HOST, seconds=90)
    found = json.loads(chosen.json.read_text())
    assert found["wrong"] == ["web: events: 9, and not 10"]
    assert [each["id"] for each in found["ratios"]] == ["hot", "tls"]
    rows = [row["scenario"] for row in found["results"]]
    assert rows == ["hot.num", "hot.den", "tls.num", "tls.den"]


def test_one_refused_request_makes_a_load_wrong(monkeypatch):
    class Client:
        """One that was refused twice, and answered often."""

        def asked(self, _spec):
            pass

        def say(self, _word):
            pass

        def told(self):
            return asdict(Told(requests=9, events=7, refused=["HTTP/1.1 503", "no"]))

    class Meter:
        cpu = Cpu

    @contextmanager
    def child(_module):
        yield Client()

    monkeypatch.setattr(loading, "CLIENTS", 1)
    monkeypatch.setattr(loading, "child", child)
    spec = Spec(
        port=1, key="k", name="n", connections=3, seconds=0.0, people=3,
        enters="Added", passes="Looked",
    )  # fmt: skip
    with pytest.raises(WrongResult, match="2 requests were refused: HTTP"):
        loading.load(spec, Meter())


def test_requests_that_are_refused_count_for_nothing():
    listener = socket.create_server(("127.0.0.1", 0))
    spec = Spec(
        port=listener.getsockname()[1], key="k", name="n", connections=1,
        seconds=0.0, people=3, enters="Added", passes="Looked",
    )  # fmt: skip
    lines = [Line(spec.port)]
    peer, _ = listener.accept()
    peer.sendall(b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno")
    told = post(spec, lines)
    asked = peer.recv(65_536).decode()
    for each in (listener, peer, lines[0].socket):
        each.close()
    assert (told.requests, told.events) == (1, 0)
    assert told.refused == ["HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno"]
    head, _, body = asked.partition("\r\n\r\n")
    assert head.startswith("POST /v1/track HTTP/1.1\r\n")
    assert json.loads(body)["messageId"] == "n-1"
