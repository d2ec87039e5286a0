"""What `make mutate` found: read and written, told as a table, judged."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
LATEST = HERE / "latest.json"
ACCEPTED = HERE / "accepted.toml"
TABLE_START = "<!-- what `make mutate` found -->"
TABLE_END = "<!-- end -->"
ENOUGH = 80  # per cent of a module's mutants


@dataclass(frozen=True)
class Survivor:
    """A change that no test noticed; `why` it may stay, '' if nobody has said."""

    function: str
    was: str
    became: str
    why: str


@dataclass(frozen=True)
class Module:
    """What became of a module's mutants. One that never ends is noticed, too.

    `commit` is the latest that changed the module when its mutants were made.
    """

    mutants: int
    killed: int
    timed_out: int
    survivors: tuple[Survivor, ...]
    commit: str = ""

    @property
    def percent(self) -> float:
        """How many were noticed, of a hundred."""
        return 100 * (self.killed + self.timed_out) / self.mutants


def modules() -> list[str]:
    """Return the modules of campaigns.domain that are mutated, in order."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text("utf-8"))
    return [Path(path).stem for path in project["tool"]["mutmut"]["only_mutate"]]


@cache
def reasons() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Return (module, pattern, why); the pattern is sought in "was -> became"."""
    entries = tomllib.loads(ACCEPTED.read_text("utf-8"))["accepted"]
    return tuple(
        (each["module"], re.compile(each["change"]), each["why"]) for each in entries
    )


def accepted(module: str, was: str, became: str) -> str:
    """Return why this change may survive, or ''."""
    change = f"{was} -> {became}"
    found = (
        why
        for of, pattern, why in reasons()
        if of in {module, "*"} and pattern.search(change)
    )
    return next(found, "")


def read() -> dict[str, Module]:
    """Return the latest results by module."""
    if not LATEST.exists():
        return {}
    return {
        name: Module(
            **{**found, "survivors": tuple(Survivor(**s) for s in found["survivors"])}
        )
        for name, found in json.loads(LATEST.read_text("utf-8")).items()
    }


def as_json(found: Mapping[str, Module]) -> str:
    """Return the results as latest.json keeps them."""
    plain = {name: asdict(module) for name, module in found.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def table(found: Mapping[str, Module]) -> str:
    """Return the results as a table in Markdown."""
    rows = [
        "| module | of commit | mutants | killed | survived | timed out | noticed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        rows.append(
            f"| `{name}` | {each.commit} | {each.mutants} | {each.killed} | {len(each.survivors)}"
            f" | {each.timed_out} | {each.percent:.1f} % |"
        )
    return "\n".join(rows) + "\n"


def troubles(found: Mapping[str, Module]) -> list[str]:
    """Return what is not as it should be, a line each."""
    return [
        f"{name}: only {each.percent:.1f} % noticed, not {ENOUGH} %"
        for name, each in found.items()
        if each.percent < ENOUGH
    ] + [
        f"{name}.{s.function} may become: {s.became}   (was: {s.was})"
        for name, each in found.items()
        for s in each.survivors
        if not s.why
    ]
