"""How `make bench` makes ratios and verdicts of what it measured."""

import pytest

from bench.measure import Cpu, Sample, percentile
from bench.results import Ratio, Report, figures, table


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
    assert reached.noisy
    assert made.missed() == []


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
