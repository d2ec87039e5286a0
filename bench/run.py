"""Run scenarios one after another; needs Django set up."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django.core.management import call_command
from django.db import connection

from bench import machine, publish
from bench.bench import Bench
from bench.options import Options, Sizes
from bench.results import Ratio, WrongResult, figures, table
from bench.scenarios import (
    caches,
    growth,
    ingest,
    memory,
    peer,
    poison,
    repeats,
    sends,
    timers,
    tls,
    web,
    webhooks,
)
from bench.stage import Stage
from campaigns.deciding.garbage import collect_less


@dataclass(frozen=True, slots=True)
class Scenario:
    """A comparison that can be asked for by name."""

    name: str
    run: Callable[[Bench], None]
    ratios: Callable[[Sizes], list[Ratio]]


SCENARIOS: Final[Sequence[Scenario]] = (
    Scenario("ingest", ingest.run, ingest.ratios),
    Scenario("dup", repeats.run, repeats.ratios),
    Scenario("poison", poison.run, poison.ratios),
    Scenario("stored", growth.run_stored, growth.stored_ratios),
    Scenario("rules", growth.run_rules, growth.rules_ratios),
    Scenario("web", web.run, web.ratios),
    Scenario("batches", web.run_batches, web.batch_ratios),
    Scenario("hot", web.run_hot, web.hot_ratios),
    Scenario("caches", caches.run, caches.ratios),
    Scenario("timers", timers.run, timers.ratios),
    Scenario("claims", timers.run_claims, timers.claims_ratios),
    Scenario("due", timers.run_due, timers.due_ratios),
    Scenario("sends", sends.run, sends.ratios),
    Scenario("tls", tls.run, tls.ratios),
    Scenario("webhooks", webhooks.run, webhooks.ratios),
    Scenario("peer", peer.run, peer.ratios),
    Scenario("memory", memory.run, memory.ratios),
)


def run(options: Options, stage: Stage) -> int:
    """Run what was asked for, write the results; return the exit code.

    1 if any result was wrong (or, with --gate, a target was missed), else 0.
    """
    call_command("migrate", verbosity=0, interactive=False)
    ((server,),) = stage.ask("SHOW server_version")
    connection.close()
    collect_less()  # as web and cluster processes do
    bench = Bench(options, stage, say)
    chosen = [s for s in SCENARIOS if not options.only or s.name in options.only]
    began = time.perf_counter()
    for scenario in chosen:
        one(bench, scenario)
    took = time.perf_counter() - began
    report = bench.report
    host = machine.host(str(server))
    publish.write(options, report, host=host, seconds=took)
    sys.stdout.write(f"\n{table(report.reached())}\n\n{figures(report)}\n")
    for wrong in report.wrong:
        sys.stdout.write(f"WRONG {wrong}\n")
    if report.wrong:
        return 1
    return int(options.gate and bool(report.missed()))


def one(bench: Bench, scenario: Scenario) -> None:
    """Run a scenario; if it is wrong, that is all that is kept of it; others go on."""
    began = time.perf_counter()
    bench.say(f"{scenario.name} …")
    before = set(bench.report.samples)
    bench.report.ratios += scenario.ratios(bench.sizes)
    try:
        scenario.run(bench)
    except WrongResult as wrong:
        bench.report.drop(but=before)
        bench.report.wrong.append(f"{scenario.name}: {wrong}")
        bench.say(f"{scenario.name}: wrong: {wrong}")
    bench.say(f"{scenario.name}: {time.perf_counter() - began:.1f} s")


def say(line: str) -> None:
    """Tell the progress, apart from the results."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
