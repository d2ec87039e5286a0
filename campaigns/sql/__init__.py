"""Hot statements, one a file, each commented with its purpose and its index.

Of a table that is known to have no rows every index costs the same, and the planner
prefers one whose order it could use, from end to end; the plan lasts while the table
grows. So no join or sort may want an order that an index of a table that grows has:

- `= ANY(ARRAY[v.id])` looks up as `= v.id` does, but no merge join could use it;
- `LATERAL (... OFFSET 0)` is planned by itself, the value being given, and
  (... OFFSET 0) does not show a partial index the conditions that stand outside;
- `ORDER BY id + 0` sorts what was found;
- `COALESCE(...)` and `IS TRUE` keep a condition from calling for a partial index.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def load(name: str) -> bytes:
    """Return the statement of that name, without its comment lines."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    kept = (line for line in lines if not line.lstrip().startswith("--"))
    return "\n".join(kept).strip().encode()
