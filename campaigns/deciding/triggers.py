"""The events that journeys speak of, read back for conditions and templates."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from campaigns.deciding import database
from campaigns.domain.people import EventRef
from campaigns.domain.steps import Trigger


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """A trigger event with the time that it happened."""

    trigger: Trigger
    occurred_at: datetime | None


GONE = TriggerRow(Trigger(name="", properties={}, context={}), None)


def load_triggers(refs: Iterable[EventRef]) -> dict[int, TriggerRow]:
    """Return events by id; one whose partition was dropped is empty."""
    wanted = {ref.id: ref for ref in refs}
    if not wanted:
        return {}
    rows = database.run(
        "events_by_ref",
        id=wanted,
        received_at=[ref.received_at for ref in wanted.values()],
    )
    found = {
        row[0]: TriggerRow(Trigger(row[1], row[2], row[3]), row[4]) for row in rows
    }
    return {key: found.get(key, GONE) for key in wanted}
