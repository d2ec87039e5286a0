"""`python -m bench`: measure, check, write down."""

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Final

from bench import options
from bench.stage import Stage

NAMES: Final = (
    "ingest", "dup", "poison", "stored", "rules", "web", "batches", "hot", "caches",
    "timers", "claims", "due", "sends", "tls", "webhooks", "peer", "memory",
)  # fmt: skip


def main() -> int:
    """Return the exit code: 1 for wrong results, 130 after Ctrl-C."""
    chosen = options.read(sys.argv[1:], names=NAMES)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stage() as stage:
            import_module("django").setup()
            # Importable only now that the environment names the database.
            return int(import_module("bench.run").run(chosen, stage))
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.environ.setdefault("PROCESS_NAME", "bench")
    sys.exit(main())
