"""The keel: whatever happens, the live engine equals the simulated one (invariant 8).

KEEL_EXAMPLES sets how many histories are tried.
"""

import json
import os
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from campaigns.deciding import clock
from campaigns.models import RecordedOrder
from tests.keel.histories import (
    FAULTS,
    WISHES,
    Post,
    documents,
    operations,
    wished,
)
from tests.keel.live import Live, TickingClock, prepare_setting
from tests.keel.replay import Names, Simulated, differences, live_rows, simulated_rows

EXAMPLES = int(os.environ.get("KEEL_EXAMPLES", "60"))
PHASES = (
    tuple(Phase)
    if os.environ.get("KEEL_SHRINK", "1") == "1"
    else (Phase.explicit, Phase.reuse, Phase.generate)
)
SHARES = ("merge", "restart_after_queueing", "exit", "pause", "holdout", "late")
FAULT_KINDS = ("rescue", "evidence", "lift")
LATE = timedelta(minutes=5)
seen: Counter = Counter()


@st.composite
def histories(draw, size=(10, 40), faults=FAULTS, wishes=WISHES):
    amount = draw(st.integers(1, 4))

    def documents_for(topic, sender, template):
        return [
            draw(documents(rule=n + 1, topic=topic, sender=sender, template=template))
            for n in range(amount)
        ]

    wish = draw(st.sampled_from(wishes))
    drawn = documents_for(1, 1, 1)
    drawn[0] = wished(drawn[0], wish)
    return drawn, draw(
        operations(size=draw(st.integers(*size)), wish=wish, faults=faults)
    )


def placed(drawn):
    """Return a maker of the drawn documents with the rows' real ids."""

    def documents_for(topic, sender, template):
        made = json.loads(json.dumps(drawn))
        for document in made:
            document["sender"] = sender
            document["topic"] = topic if document["topic"] else None
            for step in document["steps"]:
                for variant in step["variants"]:
                    variant["template_version"] = template
        return made

    return documents_for


def posted_events(setting, made):
    found = {}
    for operation in made:
        if isinstance(operation, Post):
            source = setting.public if operation.public else setting.source
            for event in operation.events:
                found.setdefault((source.id, event.message_id), event)
    return found


def count_what_happened(setting, made, live):
    ends = Counter(j["state"] for j in live["journeys"].values())
    seen["histories"] += 1
    seen["merge"] += any(name != root for name, root in _merged(live))
    seen["restart_after_queueing"] += any(
        m["reason"] == "restarted" for m in live["mails"].values()
    )
    seen["exit"] += ends["exited"] > 0
    seen["pause"] += any(getattr(o, "what", "") == "pause" for o in made)
    seen["holdout"] += any(j["arm"] == "control" for j in live["journeys"].values())
    seen["late"] += _late(setting, made)
    for kind in FAULT_KINDS:
        seen[kind] += RecordedOrder.objects.filter(kind=kind).exists()
    seen["sent"] += sum(m["state"] == "sent" for m in live["mails"].values())
    seen["journeys"] += len(live["journeys"])
    for mail in live["mails"].values():
        seen[f"mail {mail['state']} {mail['reason']}"] += 1


def _merged(live):
    from campaigns.models import Customer

    return Customer.objects.exclude(merged_into=None).values_list("pk", "merged_into")


def _late(setting, made):
    newest = None
    for operation in made:
        if isinstance(operation, Post):
            for event in operation.events:
                if newest is not None and event.occurred_at < newest - LATE:
                    return True
                newest = max(newest or event.occurred_at, event.occurred_at)
    return False


def compare(setting, made, now):
    names = Names()
    live = live_rows(names, now)
    simulated = Simulated(setting, posted_events(setting, made))
    simulated.replay()
    found = differences(live, simulated_rows(simulated), now)
    assert not found, "\n".join(found[:5])
    return live


@pytest.mark.keel
@pytest.mark.django_db(transaction=True)
def test_live_equals_simulated_one_after_another(settings_recording):
    seen.clear()
    for wish in WISHES:  # chance alone may leave too few of a kind
        _one_after_another(wish)
    report = dict(seen)
    if out := os.environ.get("KEEL_REPORT"):
        Path(out).write_text(json.dumps(report, indent=1))
    for share in SHARES:
        assert report.get(share, 0) >= report["histories"] * 0.1, (share, report)
    for kind in FAULT_KINDS:
        assert report[kind] > 0, (kind, report)


def _one_after_another(wish):
    @settings(
        max_examples=-(-EXAMPLES // len(WISHES)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=PHASES,
    )
    @given(histories(wishes=[wish]))
    def run(history):
        drawn, made = history
        setting = prepare_setting(placed(drawn))
        ticking = TickingClock()
        with clock.use(ticking):
            live = Live(setting, ticking)
            for operation in made:
                live.run(operation)
            rows = compare(setting, made, ticking.now())
        count_what_happened(setting, made, rows)

    run()
