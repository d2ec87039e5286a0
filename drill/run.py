"""One drill on a running site: load, strikes, quiet, then the books."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import psycopg

from drill.inbox import Reader
from drill.inside.control import Control, put
from drill.plan import SILENT, Plan
from drill.site import Site
from drill.story import Kind, Story
from drill.strikes import Strikes, Struck
from drill.verdict import Books, Breach, Seen, Verdict, judge, restarts_in
from tests.e2e.load import BATCH, Load
from tests.e2e.product import wait_for

AGAIN_EVERY: Final = 5  # of as many batches one is posted twice
QUIET_S: Final = 300.0
RULES: Final[Mapping[str, Kind]] = {
    "Welcome": Kind.WELCOME,
    "Product follow-up": Kind.FOLLOW_UP,
    "Cart recovery": Kind.REMINDER,
    "Receipt": Kind.RECEIPT,
}
# What there may be while nothing is left to do: journeys that ended, or are kept
# open by a goal alone. One statement, so that all of it is seen at one moment.
BUSY: Final = """
    SELECT format('mail %s is %s', id, state) FROM campaigns_message
    WHERE state IN ('queued', 'claimed', 'sending')
    UNION ALL SELECT format('journey %s has a timer', journey_id) FROM campaigns_timer
    UNION ALL SELECT format('webhook batch %s waits', id) FROM campaigns_webhookbatch
    WHERE pending_at IS NOT NULL
    LIMIT 10"""
STORED: Final = """
    SELECT message_id, count(*) FROM campaigns_event
    WHERE message_id LIKE %s GROUP BY 1"""
STATES: Final = """
    SELECT c.email, r.name, array_agg(m.state ORDER BY m.id) FROM campaigns_message m
    JOIN campaigns_customer c ON c.id = m.customer_id
    JOIN campaigns_rule r ON r.id = m.rule_id
    WHERE c.email LIKE %s GROUP BY 1, 2"""
UNKNOWN: Final = """
    SELECT CASE a.state WHEN 'accepted' THEN 'taken, said a webhook'
      ELSE 'nobody knows' END || ': ' ||
      CASE WHEN a.status IS NOT NULL THEN 'HTTP ' || a.status
      WHEN a.detail LIKE 'The worker ended%%' THEN 'its worker died'
      ELSE 'no answer' END, count(*)
    FROM campaigns_attempt a JOIN campaigns_message m ON m.id = a.message_id
    JOIN campaigns_customer c ON c.id = m.customer_id
    WHERE c.email LIKE %s AND (a.state = 'ambiguous'
      OR (a.state = 'accepted' AND a.status IS DISTINCT FROM 202))
    GROUP BY 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a drill was and what it found; times in seconds."""

    plan: Plan
    verdict: Verdict
    struck: Struck
    restarts: Mapping[str, int]
    unknown: Mapping[str, int] = field(default_factory=dict)
    quiet_s: float = 0.0

    @property
    def breaches(self) -> Mapping[Breach, Sequence[str]]:
        """What was broken; empty is green."""
        missed, planned = self.struck.missed, len(self.plan.strikes)
        if 2 * missed <= planned:
            return self.verdict.breaches
        spared = f"{missed} of {planned} strikes"
        return {**self.verdict.breaches, Breach.SPARED: [spared]}


def run(plan: Plan, site: Site, *, name: str) -> Outcome:
    """Carry the plan out on a site that is ready; `name` must be new to it."""
    story = Story(name, int(plan.rate * plan.seconds) // BATCH * BATCH, plan.speed)
    before = _differences(site)
    told = _logs(site)
    control = Control(plan.sabotage, plan.lost)
    put(site.control, control)
    site.set_faults({"rules": [dict(f) for f in plan.faults], "seed": plan.seed})
    reader = Reader(
        site.var / "simulator" / "simulator.jsonl", port=site.port, leaves=story.leaves
    ).start()
    load = Load(
        port=site.port, key=site.key, name=name, total=story.total, rate=plan.rate,
        event=story.event, again_every=AGAIN_EVERY,
    ).start()  # fmt: skip
    strikes = Strikes(site, plan.strikes)
    strikes.run(seconds=plan.seconds, began=time.monotonic())
    ledger = load.finish()
    site.set_faults([dict(SILENT)] if plan.is_silent else [])
    put(site.control, Control(plan.sabotage))
    began = time.monotonic()
    unfinished = _unfinished(site, strikes)
    quiet_s = time.monotonic() - began
    reader.stop()
    seen = Seen(handovers=reader.handovers, left=reader.left)
    books = replace(_books(site, name, before), unfinished=unfinished)
    put(site.control, Control())
    return Outcome(
        plan=plan,
        verdict=judge(
            story, ledger, seen, books, grace_s=plan.grace_s, is_silent=plan.is_silent
        ),
        struck=strikes.struck,
        restarts=restarts_in(*_logs(site)) - restarts_in(*told),
        unknown=dict(site.sql(UNKNOWN, f"{name}-%")),
        quiet_s=quiet_s,
    )


def _unfinished(site: Site, strikes: Strikes) -> list[str]:
    """Wait until all work is done; return what is left of it after QUIET_S seconds."""
    try:
        wait_for(lambda: is_quiet(site, strikes), "all work is done", within_s=QUIET_S)
    except AssertionError as error:
        return [str(error), *(line for (line,) in site.sql(BUSY))]
    return []


def is_quiet(site: Site, strikes: Strikes) -> bool:
    """Return whether nothing waits to be sent or applied, and all parts are well."""
    strikes.struck.second_host_restarts += site.look()
    with suppress(psycopg.OperationalError):
        return (
            site.sql(BUSY) == []
            and site.inbox("/api/webhook")["pending"] == 0
            and site.sql(BUSY) == []
            and site.is_ready()
        )
    return False


def _books(site: Site, name: str, before: Sequence[str]) -> Books:
    rows = site.sql(STATES, f"{name}-%")
    return Books(
        stored=dict(site.sql(STORED, f"{name}-%")),
        states={(email, RULES[rule]): states for email, rule, states in rows},
        differences=[line for line in _differences(site) if line not in before],
    )


def _differences(site: Site) -> list[str]:
    """Return what `manage.py check_sums` complains of."""
    checked = site.manage("check_sums")
    return checked.stderr.splitlines() if checked.returncode else []


def _logs(site: Site) -> list[str]:
    return [
        log.read_text(errors="replace")
        for log in (site.log, site.second_log)
        if log.exists()
    ]
