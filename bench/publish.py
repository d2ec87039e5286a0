"""Write a run down: the latest as JSON, all of them in docs/performance.md."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import machine
from bench.options import Options
from bench.results import SCHEMA, Report, figures, table

MARK: Final = "<!-- runs, newest first; written by make bench -->\n"


def write(
    options: Options, report: Report, *, host: dict[str, object], seconds: float
) -> None:
    """Write the results where the options say. A run with wrong results has none."""
    when = datetime.now(tz=UTC)  # noqa: TID251 - the date of a record
    document = {
        "schema": SCHEMA,
        "git": machine.commit(),
        "when": when.isoformat(timespec="seconds"),
        "size": options.sizes.name,
        "seconds": round(seconds, 1),
        "host": host,
        "results": list(report.rows()),
        "ratios": [each.as_json() for each in report.reached()],
        "wrong": report.wrong,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.history is not None and not report.wrong:
        _append(options.history, _entry(options, report, host, when, seconds))


def _entry(
    options: Options,
    report: Report,
    host: dict[str, object],
    when: datetime,
    seconds: float,
) -> str:
    which = f", only {', '.join(options.only)}" if options.only else ""
    notes = "".join(f"\n- {note}" for note in report.notes)
    return (
        f"\n### {when:%Y-%m-%d %H:%M} UTC, commit {machine.commit()}, "
        f"{options.sizes.name}{which}\n\n"
        f"{machine.described(host)} {options.repeat} repeats, {seconds / 60:.0f} minutes.\n\n"
        f"{table(report.reached())}\n\n{figures(report)}\n{notes}"
    )


def _append(path: Path, entry: str) -> None:
    text = path.read_text(encoding="utf-8")
    before, mark, after = text.partition(MARK)
    path.write_text(before + (mark or MARK) + entry + after, encoding="utf-8")
