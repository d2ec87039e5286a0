"""What the drill wants of its processes just now: a small file, read when it changes."""

import json
import os
from pathlib import Path
from typing import Final

from msgspec import Struct

from drill.plan import Sabotage


class Control(Struct, frozen=True):
    """See drill.plan.Plan."""

    sabotage: Sabotage | None = None
    lost: float = 0.0


NOTHING: Final = Control()
_read: tuple[int, Control] = (0, NOTHING)


def wanted() -> Control:
    """Return what is wanted now; nothing without a file."""
    global _read
    path = Path(os.environ["DRILL_CONTROL"])
    if not path.exists():
        return NOTHING
    changed = path.stat().st_mtime_ns
    if changed != _read[0]:
        raw = json.loads(path.read_text("utf-8"))
        sabotage = Sabotage(raw["sabotage"]) if raw["sabotage"] else None
        _read = (changed, Control(sabotage, raw["lost"]))
    return _read[1]


def is_out(guard: Sabotage) -> bool:
    """Return whether that guard is taken out."""
    return wanted().sabotage is guard


def put(path: Path, control: Control) -> None:
    """Tell the processes what is wanted; at once, or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(
        json.dumps(
            {
                "sabotage": control.sabotage,
                "lost": control.lost,
            }
        ),
        "utf-8",
    )
    fresh.replace(path)
