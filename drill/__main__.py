"""`make drill`: start the product, strike at it under load, say what came of it."""

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench import machine
from drill.plan import Plan, Sabotage, full, sabotaged
from drill.report import publish, table, write
from drill.run import run
from drill.site import SETTINGS, Site
from tests.e2e.product import ROOT

RESULTS: Final = ROOT / "bench" / "results" / "drill.json"
PAGE: Final = ROOT / "docs" / "reliability.md"
STALE_S: Final = 12
# Leases that end within seconds; the calls must end 10 s before them.
DISTURBED: Final = {
    "DJANGO_SETTINGS_MODULE": SETTINGS,
    "POST_DEADLINE_S": "3",
    "LEASE_S": "13",
}


def main() -> int:
    """Return 0 if every promise was kept, else 1."""
    plan = chosen()
    what = f", without its guard {plan.sabotage!r}" if plan.sabotage else ""
    _say(f"drill of {plan.seconds:.0f} s, DRILL_SEED={plan.seed}{what}")
    _say(f"  {len(plan.strikes)} strikes planned, {plan.rate:.0f} events/s")
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    site = site_for(plan, folder)
    is_green = False
    try:
        site.start()
        outcome = run(plan, site, name="drill")
        ((server,),) = site.sql("SHOW server_version")
        is_green = not outcome.breaches
    finally:
        site.end()
        if is_green:
            shutil.rmtree(folder)
        else:
            _say(f"The data and logs are kept in {folder}.")
    _say(table(outcome))
    if plan.sabotage is None:
        write(outcome, RESULTS)
        publish(outcome, PAGE, host=machine.described(machine.host(server)))
    return 0 if is_green else 1


def chosen() -> Plan:
    """Return the plan that the environment asks for."""
    seed = int(os.environ.get("DRILL_SEED") or secrets.randbelow(1_000_000))
    if name := os.environ.get("SABOTAGE"):
        return sabotaged(seed, Sabotage(name))
    return full(seed, seconds=float(os.environ.get("DRILL_SECONDS") or 120))


def site_for(plan: Plan, folder: Path) -> Site:
    """Return the site, not started: the product's own settings unless sabotaged."""
    settings = {"DEMO_SPEED": str(plan.speed), "CLUSTER_STALE_S": str(STALE_S)}
    if plan.sabotage is not None or plan.lost:
        settings |= DISTURBED
    for name in ("PORT", "INBOX_PORT"):
        if name in os.environ:
            settings[name] = os.environ[name]
    return Site(folder, **settings)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
