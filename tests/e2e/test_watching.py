"""A loaded product, watched: real Prometheus, both dashboards, and its own logs."""

import base64
import http.client
import json
import math
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.parse
from contextlib import closing, suppress
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from campaigns.management.processes import dies_with_parent
from ops.grafana import plot
from tests.e2e.product import Product, free_port, wait_for

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
TOKEN = "a-token-for-the-tests-only"
PEOPLE = ("grace.hopper", "ada.lovelace", "alan.turing")
BOARD = json.loads((OPS / "grafana" / "dashboard.json").read_text("utf-8"))
QUERIES = [
    (panel["title"], query)
    for panel in BOARD["panels"]
    for query, _ in plot.expressions(panel, interval="30s")
]


class Busy:
    """Events of every kind, a few a second, until it is told to stop."""

    def __init__(self, product):
        self.product = product
        login = base64.b64encode(f"{product.key}:".encode()).decode()
        self.headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/json",
        }
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        self.thread.join(30)

    def _run(self):
        round_ = 0
        while not self._stop.wait(0.3):
            round_ += 1
            with suppress(OSError, http.client.HTTPException):
                self._round(round_)

    def _round(self, n):
        self.post("/v1/batch", {"batch": list(self.events(n))})
        self.post("/v1/track", {"userId": "u", "event": "", "type": "track"})
        self.post(
            "/v1/track", {"event": f"no one {PEOPLE[0]}@example.com"}, key="wrong"
        )
        self.post("/nowhere/grace.hopper@example.com", {})
        self.post("/grace.hopper", {})
        self.post(f"/v1/projects/{self.product.key}/nothing", {})

    def events(self, n):
        for name in PEOPLE:
            traits = {"email": f"{name}.{n}@example.com", "first_name": name.title()}
            yield {
                "type": "track", "event": "Signed Up", "userId": f"{name}-{n}",
                "messageId": f"{name} {n}", "context": {"traits": traits},
            }  # fmt: skip
        # Nobody's address, a repeat, and what cannot be taken.
        yield {"type": "track", "event": "Signed Up", "userId": f"nobody-{n}"}
        yield {"type": "track", "event": "X", "userId": "u", "messageId": "again"}
        yield {"type": "track", "event": "X"}

    def post(self, path, body, key=None):
        headers = self.headers | (
            {"Authorization": f"Bearer {key}-of-grace.hopper"} if key else {}
        )
        at = http.client.HTTPConnection("127.0.0.1", self.product.port, timeout=30)
        with closing(at):
            at.request("POST", path, json.dumps(body), headers)
            at.getresponse().read()


class Prometheus:
    """Debian's Prometheus, scraping one product each second."""

    def __init__(self, folder, port):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "token").write_text(TOKEN)
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(OPS / "prometheus" / "alerts.yml")],
                    "scrape_configs": [
                        {
                            "job_name": "emailtriggers",
                            "authorization": {"credentials_file": "token"},
                            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                        }
                    ],
                }
            )
        )
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", "--config.file=prometheus.yml",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--storage.tsdb.path=data",
                ],
                cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def is_ready(self):
        with suppress(OSError):
            return _get(self.url + "/-/ready").startswith(b"Prometheus")
        return False

    def ask(self, query):
        """Return the values of a query now; NaN is none."""
        with suppress(OSError):
            found = plot.ask(self.url, "query", query=query)
            values = [float(series["value"][1]) for series in found]
            return [value for value in values if not math.isnan(value)]
        return []

    def end(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    made = Product(
        tmp_path_factory.mktemp("watched"),
        METRICS_TOKEN=TOKEN,
        LOG_FORMAT="json",
        LOG_LEVEL="DEBUG",
    )
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def prometheus(product, tmp_path_factory):
    if not shutil.which("prometheus"):
        pytest.skip("Prometheus is not installed (Debian: apt install prometheus)")
    product.set_faults({"kind": "status", "status": 429, "times": 1})
    with Busy(product):
        made = Prometheus(tmp_path_factory.mktemp("prometheus"), product.port)
        try:
            wait_for(made.is_ready, "Prometheus listens")
            yield made
        finally:
            made.end()


def scrape(product):
    at = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    with closing(at):
        at.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = at.getresponse()
        assert answer.status == 200
        return answer.read().decode()


def test_every_query_of_the_dashboard_finds_something(prometheus, tmp_path):
    for title, query in QUERIES:
        wait_for(lambda q=query: prometheus.ask(q), f"{title}: {query}")
    pictures = tmp_path / "dashboard.svg"
    done = subprocess.run(
        [
            "python3", str(OPS / "grafana" / "plot.py"), prometheus.url, str(pictures),
            "--minutes", "1",
        ],
        check=False, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    drawn = pictures.read_text("utf-8")
    assert drawn.count("<g ") == len(BOARD["panels"])
    for n, group in enumerate(drawn.split("<g ")[1:]):
        assert 'class="line"' in group, BOARD["panels"][n]["title"]


def test_prometheus_takes_the_alerts(prometheus):
    rules = json.loads(_get(prometheus.url + "/api/v1/rules"))["data"]["groups"]
    found = {rule["name"]: rule["health"] for rule in rules[0]["rules"]}
    told = yaml.safe_load((OPS / "prometheus" / "alerts.yml").read_text("utf-8"))
    assert set(found) == {rule["alert"] for rule in told["groups"][0]["rules"]}
    wait_for(
        lambda: all(
            rule["health"] == "ok"
            for group in json.loads(_get(prometheus.url + "/api/v1/rules"))["data"][
                "groups"
            ]
            for rule in group["rules"]
        ),
        "all rules are evaluated",
    )


def _get(url):
    parts = urllib.parse.urlsplit(url)
    at = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    with closing(at):
        at.request("GET", parts.path)
        return at.getresponse().read()


# --- DataDog -----------------------------------------------------------------
def mapped(text, config):
    """Return what the agent's check would send: {metric name: its tags' names}.

    The rules are those of DataDog/integrations-core, datadog_checks_base,
    checks/openmetrics/v2 (read in 2026): scraper/base_scraper.py strips
    `raw_metric_prefix` from a family's name, drops what `metrics` does not list,
    renames labels by `rename_labels`, and puts `namespace` before all;
    transformers/counter.py sends `<name>.count` for samples that end in `_total`;
    transformers/gauge.py sends `<name>`; transformers/histogram.py, with
    `histogram_buckets_as_distributions` and `collect_counters_with_distributions`,
    sends the distribution `<name>` (tags upper_bound, lower_bound beside the
    labels), `<name>.sum` and `<name>.count`.
    """
    found = {}
    renamed = config["rename_labels"]
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix(config["raw_metric_prefix"])
        for sample in family.samples if name in config["metrics"] else ():
            end = sent_as(family.type, sample.name)
            tags = {renamed.get(label, label) for label in sample.labels}
            if "le" in tags:
                tags = tags - {"le"} | {"upper_bound", "lower_bound"}
            if end is not None:
                found.setdefault(f"{config['namespace']}.{name}{end}", set()).update(
                    tags
                )
    return found


def sent_as(kind, sample):
    """Return what is put behind the name for a sample, None if it is not sent."""
    if kind == "counter":
        return ".count" if sample.endswith("_total") else None
    if kind == "histogram":
        return {"bucket": "", "sum": ".sum", "count": ".count"}.get(
            sample.rpartition("_")[2]
        )
    return "" if kind == "gauge" else None


def used(query):
    """Yield (metric, tags) of each part of a DataDog query."""
    for metric, scope, by in re.findall(
        r"\w+:([\w.]+)\{([^}]*)\}(?: by \{([^}]*)\})?", query
    ):
        named = [part.split(":")[0].strip("! ") for part in scope.split(",")]
        tags = {*named, *by.split(",")} - {"*", ""}
        yield metric, tags


def test_every_metric_and_tag_of_datadogs_dashboard_is_in_what_it_scrapes(
    product, prometheus
):
    config = yaml.safe_load((OPS / "datadog" / "conf.yaml").read_text("utf-8"))
    (instance,) = config["instances"]
    board = json.loads((OPS / "datadog" / "dashboard.json").read_text("utf-8"))
    wanted = [
        part
        for widget in board["widgets"]
        for request in widget["definition"]["requests"]
        for part in used(request["q"])
    ]
    assert len(wanted) > 30

    def missing():
        there = mapped(scrape(product), instance)
        return [(m, t - there.get(m, set())) for m, t in wanted if m not in there] + [
            (m, t - there[m]) for m, t in wanted if m in there and t - there[m]
        ]

    wait_for(lambda: not missing(), "all metrics and tags are there")
    listed = {m.rpartition(".")[0] if m.count(".") > 1 else m for m, _ in wanted}
    families = text_string_to_metric_families(scrape(product))
    exposed = {f.name.removeprefix(instance["raw_metric_prefix"]) for f in families}
    assert exposed == set(instance["metrics"])
    assert {m.removeprefix("emailtriggers.") for m in listed} <= set(
        instance["metrics"]
    )


# --- Privacy, and logs -------------------------------------------------------
def forbidden(product):
    """What must be in no log and no metric of this busy product."""
    yield from PEOPLE
    yield from (name.title() for name in PEOPLE)
    yield from ("@example.com", product.key, TOKEN, "wrong-of")


def test_metrics_and_logs_hold_nobody(product, prometheus):
    wait_for(lambda: len(product.inbox()) > 5, "mails arrive")
    text = scrape(product)
    for secret in forbidden(product):
        assert secret not in text
    logs = product.log.read_text("utf-8").splitlines()
    welcome = next(n for n, line in enumerate(logs) if "Ctrl-C stops" in line)
    lines = logs[welcome + 1 :]
    found = [json.loads(line) for line in lines]  # one line each, and all are JSON
    assert {"time", "level", "logger", "message", "process", "host", "pid"} <= set(
        found[0]
    )
    moved = [f for f in found if f.get("message_id")]
    assert {f["process"] for f in moved} >= {"cluster mail"}
    assert any(f.get("event_id") and f.get("journey_id") for f in found)
    for secret in forbidden(product):
        told = [line for line in lines if secret in line]
        assert told == []


def test_the_doctor_finds_only_what_a_demo_lacks(product):
    done = product.manage("doctor", "--quiet")
    parts = re.findall(r"^(WARNING|ERROR) +([^:]+):", done.stdout, re.MULTILINE)
    assert {part for level, part in parts if level == "ERROR"} == set(), done.stdout
    assert {"public url", "provider key"} <= {part for _, part in parts}
    assert done.returncode == 1
