"""`make mutate`: change the pure core in small ways, and see which test notices.

Runs mutmut (settings in pyproject.toml) on all its modules, or those named as
arguments, in one process. Writes latest.json beside this file, and its table into
docs/reliability.md. Ends with 1 if a module has less than 80 % killed, or a mutant
survived that accepted.toml gives no reason for.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.mutation.results import (
    LATEST,
    TABLE_END,
    TABLE_START,
    Module,
    Survivor,
    accepted,
    as_json,
    modules,
    read,
    table,
    troubles,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
NICENESS = 10
KILLED = {"killed", "segfault", "caught by type check"}


def main(names: list[str]) -> int:
    """Run, write, print; return the exit code."""
    os.chdir(ROOT)
    os.nice(NICENESS)
    known = modules()
    if unknown := set(names) - set(known):
        print(f"There is no {', '.join(sorted(unknown))}; there is {', '.join(known)}.")
        return 2
    chosen = names or known
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    _mutmut([f"campaigns.domain.{name}.*" for name in chosen])
    found = {**read(), **{name: _found(name) for name in chosen}}
    found = {name: found[name] for name in known if name in found}
    LATEST.write_text(as_json(found), encoding="utf-8")
    PAGE.write_text(_with_table(PAGE.read_text("utf-8"), table(found)), "utf-8")
    print(table(found))
    problems = troubles(found)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _mutmut(patterns: list[str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *patterns],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )


def _found(name: str) -> Module:
    """Return what became of a module's mutants."""
    path = Path("campaigns", "domain", f"{name}.py")
    data = SourceFileMutationData(path=path)
    data.load()
    ends = {
        key: status_by_exit_code[code] for key, code in data.exit_code_by_key.items()
    }
    if "not checked" in ends.values():
        raise RuntimeError(f"mutmut left mutants of {name} unchecked")
    counts = [*ends.values()]
    survivors = [
        _survivor(name, key, path)
        for key, end in ends.items()
        if end not in KILLED | {"timeout"}
    ]
    return Module(
        mutants=len(counts),
        killed=sum(end in KILLED for end in counts),
        timed_out=counts.count("timeout"),
        survivors=tuple(survivors),
        commit=_commit_of(path),
    )


def _commit_of(path: Path) -> str:
    command = ["git", "log", "-1", "--format=%h", "--", str(path)]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _survivor(module: str, key: str, path: Path) -> Survivor:
    lines = get_diff_for_mutant(key, path=path).splitlines()[2:]
    was = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    became = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    function = key.rpartition(".")[2].partition("__mutmut")[0].removeprefix("x_")
    return Survivor(function, was, became, accepted(module, was, became))


def _with_table(text: str, rows: str) -> str:
    before, _, rest = text.partition(TABLE_START)
    after = rest.partition(TABLE_END)[2]
    return f"{before}{TABLE_START}\n{rows}{TABLE_END}{after}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
