"""`make fuzz`: start the product, be hostile to it, say what came of it."""

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz import library
from fuzz.crowd import crowds, trouble_in
from fuzz.report import (
    figures,
    publish,
    publish_read,
    read_table,
    table,
    write,
    write_read,
)
from fuzz.run import Outcome, run
from fuzz.site import Site
from tests.e2e.product import ROOT

RESULTS: Final = ROOT / "bench" / "results" / "fuzz.json"
PAGE: Final = ROOT / "docs" / "security.md"
LONG: Final = 100_000  # requests, or inputs a reader, worth their place in the docs
CROWD_S: Final = 8.0  # less than WEB_HEADER_S, after which the silent are dropped


def main() -> int:
    """Return 0 if nothing was found, else 1."""
    seed = _number("FUZZ_SEED", secrets.randbelow(1_000_000))
    requests, inputs = _number("FUZZ_REQUESTS", 20_000), _number("FUZZ_INPUTS", 2_000)
    _say(f"fuzz, {requests:,} requests, {inputs:,} inputs a reader, FUZZ_SEED={seed}")
    is_fine = _readers(seed, inputs) if inputs else True
    if requests:
        is_fine = _product(seed, requests) and is_fine
    return 0 if is_fine else 1


def _number(name: str, otherwise: int) -> int:
    return int(os.environ.get(name) or otherwise)


def _readers(seed: int, inputs: int) -> bool:
    """Call the readers; return whether nothing was found."""
    read = library.run(seed, inputs)
    told = write_read(read, RESULTS)
    _say(read_table(told))
    if inputs >= LONG and not read.found:
        publish_read(told, PAGE)
    return not read.found


def _product(seed: int, requests: int) -> bool:
    """Start the product and be hostile to it; return whether nothing was found."""
    seconds = float(os.environ.get("FUZZ_SECONDS") or "inf")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    _say(f"  in {folder}")
    site = Site(folder)
    try:
        site.start()
        target = site.target()
        outcome = run(
            site, target, seed=seed, requests=requests, seconds=seconds, tell=_say
        )
        idle = _number("FUZZ_IDLE", 10_000)
        outcome.stages = crowds(site, target, idle=idle, seconds=CROWD_S, tell=_say)
    finally:
        site.end()
    outcome.breaches += trouble_in(outcome.stages)
    return _told(outcome, folder)


def _told(outcome: Outcome, folder: Path) -> bool:
    _say(table(figures(outcome)))
    told = write(outcome, RESULTS)
    if outcome.breaches:
        _say(f"The data and logs are kept in {folder}.")
        return False
    if outcome.tally.sent >= LONG:
        publish(told, PAGE)
    shutil.rmtree(folder)
    return True


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
