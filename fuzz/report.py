"""What a run found, as JSON for programs and as tables for people, in the docs too."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine
from fuzz.member import PASSED
from fuzz.run import Outcome

SHOWN: Final = 20
NOT_OWED: Final = "no answer owed"
BEGIN: Final = "<!-- the last long run; written by make fuzz -->\n"
END: Final = "<!-- end of the last long run -->"

Json = dict[str, Any]


def figures(outcome: Outcome) -> Json:
    """Return all figures as JSON. Times are seconds."""
    tally = outcome.tally
    by_kind: dict[str, dict[str, int]] = {}
    statuses: Counter[str] = Counter()
    for (kind, status), count in sorted(tally.statuses.items()):
        by_kind.setdefault(kind, {})[str(status or NOT_OWED)] = count
        statuses[str(status or NOT_OWED)] += count
    return {
        "seed": outcome.seed,
        "requests": tally.sent,
        "past_key_and_parser": tally.passed,
        "requests_per_s": round(tally.sent / max(outcome.took_s, 0.001)),
        "seconds": round(outcome.took_s, 1),
        "statuses": dict(sorted(statuses.items())),
        "by_kind": by_kind,
        "slowest_s": {k: round(v, 2) for k, v in sorted(tally.slowest_s.items())},
        "held_after_each_quarter": [held.as_json() for held in outcome.held],
        "webhooks_applied_after_s": round(outcome.settled_s, 1),
        "a_sound_event_became_a_mail": outcome.mailed,
        "crowds": [stage.as_json() for stage in outcome.stages],
        "found": outcome.breaches,
    }


def write(outcome: Outcome, path: Path) -> Json:
    """Write the figures, the machine and the date to a file; return them."""
    when = datetime.now(tz=UTC)  # noqa: TID251 - the date of a record
    told = {
        "git": machine.commit(),
        "when": when.isoformat(timespec="seconds"),
        "host": machine.host("18"),
        **figures(outcome),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return told


def publish(told: Json, page: Path) -> None:
    """Put the tables of written figures between their marks in a page of the docs."""
    text = page.read_text("utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page} lacks the marks between which the run belongs")
    entry = (
        f"\n{told['when'][:10]}, commit {told['git']}, FUZZ_SEED={told['seed']}. "
        f"{machine.described(told['host'])}\n\n{table(told)}\n\n"
    )
    page.write_text(before + mark + entry + end + after, "utf-8")


def table(told: Mapping[str, Any]) -> str:
    """Return the figures as Markdown tables, and below them what was found."""
    lines = [*_by_kind(told), "", *_held(told)]
    if told["crowds"]:
        lines += ["", *_crowds(told)]
    if told["found"]:
        lines += ["", f"FOUND ({len(told['found'])})"]
        lines += [f"  {line}" for line in told["found"][:SHOWN]]
    return "\n".join([*lines, "", "Nothing was found." if not told["found"] else "red"])


def _by_kind(told: Mapping[str, Any]) -> Iterator[str]:
    yield "| requests | answers | slowest, s |"
    yield "|---|---|---|"
    for kind, statuses in told["by_kind"].items():
        said = ", ".join(f"{status}: {count:,}" for status, count in statuses.items())
        mark = " †" if kind in PASSED else ""
        yield f"| {kind}{mark} | {said} | {told['slowest_s'][kind]:.2f} |"
    yield ""
    yield (
        f"{told['requests']:,} requests in {told['seconds']:,.0f} s, of which "
        f"{told['past_key_and_parser']:,} got past key and parser (200 in the rows "
        "with †). Webhooks were all applied "
        f"{told['webhooks_applied_after_s']:.0f} s after the last request."
    )


def _held(told: Mapping[str, Any]) -> Iterator[str]:
    yield "| both web workers, after quarter | PSS, MB | open files | threads | sessions |"
    yield "|---|---|---|---|---|"
    for number, held in enumerate(told["held_after_each_quarter"], 1):
        yield (
            f"| {number} | {held['mb']} | {held['files']} | {held['threads']} | "
            f"{held['sessions']} |"
        )


def _crowds(told: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| beside | a shop's events: lost | median, ms | 99 %, ms | slowest, ms | "
        "/healthz 99 %, ms | the crowd got | log lines | workers, MB |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in told["crowds"]:
        yield (
            f"| {one['name']} | {one['lost']} of {one['events']} | {one['p50_ms']} | "
            f"{one['p99_ms']} | {one['slowest_ms']} | {one['health_p99_ms']} | "
            f"{one['crowd']} | {one['log_lines']} | {one['web_mb']} |"
        )
