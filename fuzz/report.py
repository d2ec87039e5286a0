"""What a run found, as JSON for programs and as tables for people, in the docs too."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine
from fuzz.library import READERS, Read
from fuzz.member import PASSED
from fuzz.run import Outcome

SHOWN: Final = 20
NOT_OWED: Final = "no answer owed"
READ: Final = "readers"  # their part of the file
REQUESTS: Final = "the last long run"
READERS_RUN: Final = "the readers' last long run"

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
        "brought_something_accepted": outcome.fruitful,
        "calls_with_an_event_accepted": tally.fruitful,
        "calls_with_every_event_rejected": tally.fruitless,
        "signed_webhooks_of_which_something_was_read": outcome.webhooks_fruitful,
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


def read_figures(read: Read) -> Json:
    """Return the figures of the readers as JSON."""
    return {
        "seed": read.seed,
        "seconds": round(read.took_s, 1),
        "by_reader": {
            name: {
                "inputs": sum(n for (one, _), n in read.counts.items() if one == name),
                "accepted": read.accepted(name),
                "not_accepted": read.refused(name),
                "slowest_ms": round(read.slowest_s.get(name, 0.0) * 1_000, 1),
            }
            for name in READERS
        },
        "held_mb_after_each_quarter": read.held_mb,
        "found": read.found,
    }


def write(outcome: Outcome, path: Path) -> Json:
    """Write the figures of requests, the machine and the date; return them.

    Those of the readers stay in the file as they were.
    """
    told = {**_made_by(), "host": machine.host(outcome.postgres), **figures(outcome)}
    before = _written(path)
    _write(path, {**told, READ: before[READ]} if READ in before else told)
    return told


def write_read(read: Read, path: Path) -> Json:
    """Write the figures of the readers, and return them; all others stay as they were."""
    told = {**_made_by(), **read_figures(read)}
    _write(path, {**_written(path), READ: told})
    return told


def _made_by() -> Json:
    when = datetime.now(tz=UTC)  # noqa: TID251 - the date of a record
    return {"git": machine.commit(), "when": when.isoformat(timespec="seconds")}


def _written(path: Path) -> Json:
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _write(path: Path, told: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def publish(told: Json, page: Path) -> None:
    """Put the tables of written figures between their marks in a page of the docs."""
    _publish(
        page, REQUESTS, told, f"{machine.described(told['host'])}\n\n{table(told)}"
    )


def publish_read(told: Json, page: Path) -> None:
    """Put the readers' table between its marks in a page of the docs."""
    _publish(page, READERS_RUN, told, read_table(told))


def marks(which: str) -> tuple[str, str]:
    """Return the lines in a page between which a run belongs."""
    return f"<!-- {which}; written by make fuzz -->\n", f"<!-- end of {which} -->"


def _publish(page: Path, which: str, told: Json, said: str) -> None:
    begin, end = marks(which)
    before, mark, rest = page.read_text("utf-8").partition(begin)
    _, until, after = rest.partition(end)
    if not (mark and until):
        raise ValueError(f"{page} lacks the marks between which the run belongs")
    entry = (
        f"\n{told['when'][:10]}, commit {told['git']}, FUZZ_SEED={told['seed']}. "
        f"{said}\n\n"
    )
    page.write_text(before + mark + entry + until + after, "utf-8")


def read_table(told: Mapping[str, Any]) -> str:
    """Return the readers' figures as a Markdown table, and below it what was found."""
    lines = [
        f"Read in {told['seconds']:,.0f} s.",
        "",
        *_by_reader(told),
        "",
        _grown(told),
    ]
    return "\n".join([*lines, "", *_verdict(told)])


def table(told: Mapping[str, Any]) -> str:
    """Return the figures as Markdown tables, and below them what was found."""
    lines = [*_by_kind(told), "", *_held(told)]
    if told["crowds"]:
        lines += ["", *_crowds(told)]
    return "\n".join([*lines, "", *_verdict(told)])


def _verdict(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["found"]:
        yield "Nothing was found."
        return
    yield f"FOUND ({len(told['found'])})"
    yield from (f"  {line}" for line in told["found"][:SHOWN])
    yield ""
    yield "red"


def _by_reader(told: Mapping[str, Any]) -> Iterator[str]:
    yield "| reader | inputs | accepted | not accepted | slowest, ms of CPU |"
    yield "|---|---|---|---|---|"
    for name, one in told["by_reader"].items():
        others = ", ".join(f"{how}: {n:,}" for how, n in one["not_accepted"].items())
        yield (
            f"| {name} | {one['inputs']:,} | {one['accepted']:,} | {others or '-'} | "
            f"{one['slowest_ms']} |"
        )


def _grown(told: Mapping[str, Any]) -> str:
    held = ", ".join(f"{mb}" for mb in told["held_mb_after_each_quarter"])
    return f"The process held {held} MB after each quarter of the inputs."


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
        f"with †). {told['brought_something_accepted']:,} of those brought something "
        f"that was accepted: {told['calls_with_an_event_accepted']:,} calls an event, "
        f"{told['signed_webhooks_of_which_something_was_read']:,} signed webhooks a "
        f"report that could be read; of {told['calls_with_every_event_rejected']:,} "
        "calls every event was rejected. Webhooks were all applied "
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
