"""What ops/ holds for watching: rules that promtool tests, dashboards, their words."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from campaigns.metrics import counted
from ops.grafana import plot

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
GUIDE = (ROOT / "docs" / "operations.md").read_text("utf-8")
RULES = yaml.safe_load((OPS / "prometheus" / "alerts.yml").read_text("utf-8"))
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
BOARD = json.loads((OPS / "grafana" / "dashboard.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=["rules", "config", "unit-tests"],
)
def test_promtool_is_content(words):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    done = subprocess.run(
        ["promtool", *words],
        cwd=OPS / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_both_ways():
    told = yaml.safe_load((OPS / "prometheus" / "alerts_test.yml").read_text("utf-8"))
    cases = {name: set() for name in ALERTS}
    for test in told["tests"]:
        for case in test["alert_rule_test"]:
            cases[case["alertname"]].add(bool(case["exp_alerts"]))
    assert cases == {name: {True, False} for name in ALERTS}


@pytest.mark.parametrize("name", ALERTS, ids=list(ALERTS))
def test_each_alert_has_its_line_in_the_runbook(name):
    begins = re.escape(f'| <a id="{name.lower()}"></a>`{name}` |')
    (row,) = re.findall(rf"^{begins}.*$", GUIDE, re.MULTILINE)
    _, _, means, do, _ = row.split("|")
    assert len(means.strip()) > 20
    assert len(do.strip()) > 20
    anchor = f"docs/operations.md#{name.lower()}"
    assert ALERTS[name]["annotations"]["runbook"] == anchor


def test_the_runbook_has_no_other_alerts():
    assert set(re.findall(r"`(Emailtriggers\w+)`", GUIDE)) == set(ALERTS)


def exposed():
    """Names, without their endings, of all that /metrics may hold."""
    sources = [
        ROOT / "campaigns" / "metrics" / "counted.py",
        ROOT / "campaigns" / "watching" / "gauges.py",
    ]
    text = "".join(path.read_text("utf-8") for path in sources)
    full = set(re.findall(r'"(emailtriggers_\w+)"', text))
    gauges = {f"emailtriggers_{n}" for n in re.findall(r'_gauge\(\s*"(\w+)"', text)}
    return full | gauges


def names_in(text):
    found = re.findall(r"emailtriggers_\w+", text)
    return {re.sub(r"_(bucket|count|sum|total|info)$", "", name) for name in found}


def test_rules_and_panels_ask_only_for_what_there_is():
    queries = [rule["expr"] for rule in ALERTS.values()]
    for panel in BOARD["panels"]:
        queries += [query for query, _ in plot.expressions(panel, interval="1m")]
    asked = set().union(*map(names_in, queries))
    assert asked == exposed()  # and nothing is exposed that nobody looks at


def test_every_metric_is_explained():
    section = GUIDE.partition("## Watching it")[2].partition("### Alerts")[0]
    named = set(re.findall(r"`(_?[a-z_]+)`", section))
    # "`provider_breaker_open`, `_tokens`" stands for provider_tokens.
    named |= {f"provider{name}" for name in named if name.startswith("_")}
    shown = {re.sub(r"_(total|info)$", "", f"emailtriggers_{name}") for name in named}
    assert exposed() - shown == set()


def test_every_reason_of_readyz_is_explained(settings):
    source = (ROOT / "campaigns" / "reports" / "readiness.py").read_text("utf-8")
    reasons = set(re.findall(r'return \{\s*"([a-z ]+)":', source))
    reasons |= {f"cluster {name}" for name in settings.CLUSTERS}
    table = GUIDE.partition("`GET /readyz`")[2].partition("When it answers 200")[0]
    assert set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)) == reasons


def test_the_first_panels_are_those_that_matter_most():
    first = [panel["title"] for panel in BOARD["panels"][:3]]
    assert [title.partition(" (")[0] for title in first] == [
        "Pipeline latency",
        "Event success rate",
        "Trigger response time",
    ]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_names_keep_the_conventions_of_prometheus():
    for family in counted.REGISTRY.collect():
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "histogram"}
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


# --- The plotter -------------------------------------------------------------
@pytest.mark.parametrize(
    ("top", "end"),
    [
        (0, 1.0),
        (0.9, 1.0),
        (1.0, 1.0),
        (1.3, 2.0),
        (2.2, 2.5),
        (34, 50),
        (0.0061, 0.01),
    ],
    ids=["none", "below", "exact", "two", "quarter", "fifty", "small"],
)
def test_an_axis_ends_at_a_round_number(top, end):
    assert plot.nice(top) == pytest.approx(end)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0123, "s", "12.3 ms"),
        (75.0, "s", "75 s"),
        (0.995, "percentunit", "99.5 %"),
        (12.0, "ops", "12/s"),
        (3.0, "short", "3"),
    ],
    ids=["short-time", "long-time", "share", "rate", "number"],
)
def test_values_are_said_in_their_unit(value, unit, words):
    assert plot.worded(value, unit) == words


def test_a_panel_is_drawn_with_its_legend_and_no_markup_of_others():
    panel = BOARD["panels"][0]
    found = [
        plot.Line("a <b>", [(0.0, 1.0), (60.0, 2.0)]),
        plot.Line("c", [(30.0, 0.0)]),
    ]
    drawn = plot.picture([(panel, found)], span=[(0.0, 0.0), (60.0, 0.0)])
    assert drawn.startswith("<svg")
    assert "a &lt;b&gt;" in drawn
    assert drawn.count('class="line"') == 2
    assert plot.legend("{{lane}} x", {"lane": "marketing"}) == "marketing x"
