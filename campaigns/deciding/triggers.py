"""The events that journeys speak of, read back for conditions and templates."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from campaigns.deciding import database
from campaigns.deciding.database import Call, Result, call
from campaigns.domain.people import EventRef
from campaigns.domain.steps import Trigger


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """A trigger event with the time that it happened."""

    trigger: Trigger
    occurred_at: datetime | None


GONE = TriggerRow(Trigger(name="", properties={}, context={}), None)


def read_triggers(refs: Collection[EventRef]) -> Call:
    """Read events by id and time of receipt."""
    return call(
        "events_by_ref",
        id=[ref.id for ref in refs],
        received_at=[ref.received_at for ref in refs],
    )


def triggers_of(refs: Iterable[EventRef], result: Result) -> dict[int, TriggerRow]:
    """Return events by id, of what read_triggers returned; a dropped one is empty."""
    found = {
        row[0]: TriggerRow(Trigger(row[1], row[2], row[3]), row[4])
        for row in result.rows
    }
    return {ref.id: found.get(ref.id, GONE) for ref in refs}


def load_triggers(refs: Iterable[EventRef]) -> dict[int, TriggerRow]:
    """Return events by id; one whose partition was dropped is empty."""
    wanted = list(refs)
    if not wanted:
        return {}
    return triggers_of(wanted, database.run_all([read_triggers(wanted)])[0])
