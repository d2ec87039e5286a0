"""Hot statements, one a file, each commented with its purpose and its index."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def load(name: str) -> bytes:
    """Return the statement of that name, without its comment lines."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    kept = (line for line in lines if not line.lstrip().startswith("--"))
    return "\n".join(kept).strip().encode()
