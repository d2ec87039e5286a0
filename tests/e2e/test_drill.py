"""The drill in seconds: green as the product is, red without any of five guards.

One site serves all forms: what differs is in a file that its processes read. Each
form has events and customers of its own, so what one broke does not redden the next.
"""

from typing import Final

import pytest

from drill.__main__ import site_for
from drill.plan import Sabotage, sabotaged, short
from drill.report import table
from drill.run import run
from drill.verdict import Breach

pytestmark = pytest.mark.crash

SEED: Final = 1
# Of what at least one must be found without the guard, and what else may follow from
# it. A refusal of an old token, taken for the newer attempt's, sends a mail again, or
# ends it for good.
RED: Final = {
    Sabotage.STOP: ({Breach.MAIL_AFTER_STOP}, set()),
    Sabotage.DEDUPE: ({Breach.EVENT_TWICE}, {Breach.MAIL_TWICE}),
    Sabotage.LEASE: ({Breach.MAIL_TWICE}, set()),
    Sabotage.BEGIN: ({Breach.MAIL_TWICE}, set()),
    Sabotage.TOKEN: ({Breach.MAIL_TWICE, Breach.MAIL_LOST}, set()),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = site_for(short(SEED), tmp_path_factory.mktemp("drill"))
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_the_drill_is_green_and_without_any_guard_red(site):
    outcome = run(short(SEED), site, name="whole")
    print(table(outcome))
    assert outcome.breaches == {}
    assert outcome.verdict.handed_over > 0
    assert outcome.verdict.stops > 0
    assert outcome.struck.done.total() == len(short(SEED).strikes)

    found = {}
    for sabotage in RED:
        outcome = run(sabotaged(SEED, sabotage), site, name=f"no-{sabotage}")
        print(f"without {sabotage}:\n{table(outcome)}")
        found[sabotage] = set(outcome.breaches)
    for sabotage, (wanted, may_follow) in RED.items():
        assert found[sabotage] & wanted, f"not seen without {sabotage}"
        assert found[sabotage] <= wanted | may_follow | {Breach.SUMS}, sabotage
