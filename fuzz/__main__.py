"""`make fuzz`: start the product, be hostile to it, say what came of it."""

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.crowd import crowds, trouble_in
from fuzz.report import figures, publish, table, write
from fuzz.run import Outcome, run
from fuzz.site import Site
from tests.e2e.product import ROOT

RESULTS: Final = ROOT / "bench" / "results" / "fuzz.json"
PAGE: Final = ROOT / "docs" / "security.md"
LONG: Final = 100_000  # requests from which on a run is worth its place in the docs
CROWD_S: Final = 8.0  # less than WEB_HEADER_S, after which the silent are dropped


def main() -> int:
    """Return 0 if nothing was found, else 1."""
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(1_000_000))
    requests = int(os.environ.get("FUZZ_REQUESTS") or 20_000)
    seconds = float(os.environ.get("FUZZ_SECONDS") or "inf")
    idle = int(os.environ.get("FUZZ_IDLE") or 10_000)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    _say(f"fuzz, {requests:,} requests, FUZZ_SEED={seed}, in {folder}")
    site = Site(folder)
    try:
        site.start()
        target = site.target()
        outcome = run(
            site, target, seed=seed, requests=requests, seconds=seconds, tell=_say
        )
        outcome.stages = crowds(site, target, idle=idle, seconds=CROWD_S, tell=_say)
    finally:
        site.end()
    outcome.breaches += trouble_in(outcome.stages)
    return _told(outcome, folder)


def _told(outcome: Outcome, folder: Path) -> int:
    _say(table(figures(outcome)))
    told = write(outcome, RESULTS)
    if outcome.breaches:
        _say(f"The data and logs are kept in {folder}.")
        return 1
    if outcome.tally.sent >= LONG:
        publish(told, PAGE)
    shutil.rmtree(folder)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
