"""`make fuzz`: start the product, be hostile to it, say what came of it."""

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.report import table, write
from fuzz.run import run
from fuzz.site import Site
from tests.e2e.product import ROOT

RESULTS: Final = ROOT / "bench" / "results" / "fuzz.json"


def main() -> int:
    """Return 0 if nothing was found, else 1."""
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(1_000_000))
    requests = int(os.environ.get("FUZZ_REQUESTS") or 20_000)
    seconds = float(os.environ.get("FUZZ_SECONDS") or "inf")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    _say(f"fuzz, {requests} requests, FUZZ_SEED={seed}, in {folder}")
    site = Site(folder)
    try:
        site.start()
        outcome = run(
            site,
            site.target(),
            seed=seed,
            requests=requests,
            seconds=seconds,
            tell=_say,
        )
    finally:
        site.end()
    _say(table(outcome))
    write(outcome, RESULTS)
    if outcome.breaches:
        _say(f"The data and logs are kept in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
