"""What a drill found, as a table for people and JSON for programs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench import machine
from campaigns.reports.sums import CHECKS
from drill.run import Outcome
from drill.verdict import Breach

LONG_S: Final = 600.0  # from here on a drill is worth a place in the docs
BEGINS: Final = "<!-- the last long drill; written by make drill -->\n"
ENDS: Final = "<!-- end of the drill -->\n"
SHOWN: Final = 10  # lines of each breach


def figures(outcome: Outcome) -> dict[str, object]:
    """Return all figures, for drill.json. Times are seconds."""
    verdict, plan, struck = outcome.verdict, outcome.plan, outcome.struck
    return {
        "seed": plan.seed,
        "seconds": plan.seconds,
        "events_per_s": plan.rate,
        "speed": plan.speed,
        "green": not outcome.breaches,
        "events": {
            "posted": verdict.events,
            "acknowledged": verdict.acknowledged,
            "batches_tried_again": verdict.retries,
            "batches_repeated": verdict.repeated,
        },
        "mails": {
            "due": verdict.wanted,
            "handed_over": verdict.handed_over,
            "unknown": verdict.unknown,
            "stops_checked": verdict.stops,
            "calls_without_answer": dict(sorted(outcome.unknown.items())),
        },
        "broken": {
            breach.name.lower(): len(outcome.breaches.get(breach, ()))
            for breach in Breach
        },
        "differences": {
            sum_: len(
                [line for line in outcome.breaches.get(Breach.SUMS, ()) if sum_ in line]
            )
            for sum_ in CHECKS
        },
        "lateness_s": {
            "p50": round(verdict.lateness.p50, 3),
            "p99": round(verdict.lateness.p99, 3),
            "max": round(verdict.lateness.longest, 3),
        },
        "strikes": {
            f"{act} {part}": number
            for (act, part), number in sorted(struck.done.items())
        },
        "kills": struck.kills,
        "kills_per_hour": round(struck.kills / plan.seconds * 3600),
        "strikes_at_nobody": struck.missed,
        "killed_as_they_did_not_stop": struck.insisted,
        "restarts": {
            **dict(sorted(outcome.restarts.items())),
            "second host's supervisor": struck.second_host_restarts,
        },
        "quiet_after_s": round(outcome.quiet_s, 1),
    }


def write(outcome: Outcome, path: Path) -> None:
    """Write the figures to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures(outcome), indent=2) + "\n", "utf-8")


def publish(outcome: Outcome, page: Path, *, host: str) -> None:
    """Put the figures of a long drill into a page, in place of the last one's."""
    if outcome.plan.seconds < LONG_S:
        return
    before, begins, rest = page.read_text("utf-8").partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not ends:
        raise ValueError(f"{page} has no place for the drill, between two marks")
    said = f"{_said(outcome)} {host}\n\n{table(outcome)}\n"
    page.write_text(before + begins + said + ends + after, "utf-8")


def _said(outcome: Outcome) -> str:
    minutes = outcome.plan.seconds / 60
    return f"{minutes:.0f} minutes, commit {machine.commit()}."


def table(outcome: Outcome) -> str:
    """Return the figures as a Markdown table, and below it what was broken."""
    rows = list(_rows(figures(outcome)))
    lines = ["| what | figure |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows)]
    for breach, told in outcome.breaches.items():
        lines += ["", f"BROKEN: {breach} ({len(told)})"]
        lines += [f"  {line}" for line in told[:SHOWN]]
    lines += ["", "red" if outcome.breaches else "green"]
    return "\n".join(lines)


def _rows(values: object, name: str = "") -> Iterable[tuple[str, str]]:
    if not isinstance(values, dict):
        yield name, str(values)
        return
    for key, value in values.items():
        yield from _rows(
            value, f"{name}: {key}" if name else str(key).replace("_", " ")
        )
    if not values:
        yield name, "nothing"
