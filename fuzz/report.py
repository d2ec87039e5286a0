"""What a run found, as a table for people and JSON for programs."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import machine
from fuzz.member import PASSED
from fuzz.run import Outcome

SHOWN: Final = 20


def figures(outcome: Outcome) -> dict[str, object]:
    """Return all figures as JSON. Times are seconds."""
    tally = outcome.tally
    by_kind: dict[str, dict[str, int]] = {}
    for (kind, status), count in sorted(tally.statuses.items()):
        by_kind.setdefault(kind, {})[str(status or "none owed")] = count
    return {
        "seed": outcome.seed,
        "requests": tally.sent,
        "past_key_and_parser": tally.passed,
        "requests_per_s": round(tally.sent / max(outcome.took_s, 0.001)),
        "seconds": round(outcome.took_s, 1),
        "statuses": dict(sorted(_statuses(outcome).items())),
        "by_kind": by_kind,
        "slowest_s": {k: round(v, 2) for k, v in sorted(tally.slowest_s.items())},
        "held_after_each_quarter": [held.as_json() for held in outcome.held],
        "webhooks_applied_after_s": round(outcome.settled_s, 1),
        "a_sound_event_became_a_mail": outcome.mailed,
        "found": outcome.breaches,
    }


def write(outcome: Outcome, path: Path) -> None:
    """Write the figures, the machine and the date to a file."""
    when = datetime.now(tz=UTC)  # noqa: TID251 - the date of a record
    told = {
        "git": machine.commit(),
        "when": when.isoformat(timespec="seconds"),
        "host": machine.host("18"),
        **figures(outcome),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _sum(outcome: Outcome) -> str:
    tally = outcome.tally
    return (
        f"{tally.sent:,} requests in {outcome.took_s:,.0f} s, of which {tally.passed:,} "
        "got past key and parser (200 in the rows with †)."
    )


def _statuses(outcome: Outcome) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, status), count in outcome.tally.statuses.items():
        found[str(status or "none owed")] += count
    return found


def table(outcome: Outcome) -> str:
    """Return the figures as a Markdown table, and below it what was found."""
    tally = outcome.tally
    lines = ["| requests | answers | slowest, s |", "|---|---|---|"]
    kinds = sorted({kind for kind, _ in tally.statuses})
    for kind in kinds:
        mine = {s: n for (k, s), n in sorted(tally.statuses.items()) if k == kind}
        told = ", ".join(f"{s or 'no answer owed'}: {n:,}" for s, n in mine.items())
        mark = "" if kind not in PASSED else " †"
        lines.append(f"| {kind}{mark} | {told} | {tally.slowest_s[kind]:.2f} |")
    lines += [
        "",
        _sum(outcome),
        "",
        "| web workers after quarter | PSS, MB | open files | threads | sessions |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {held.mb} | {held.files} | {held.threads} | {held.sessions} |"
        for number, held in enumerate(outcome.held, 1)
    ]
    if outcome.breaches:
        lines += ["", f"FOUND ({len(outcome.breaches)})"]
        lines += [f"  {line}" for line in outcome.breaches[:SHOWN]]
    lines += ["", "red" if outcome.breaches else "green"]
    return "\n".join(lines)
