"""What the processes hold of the machine's memory, and that it stays so under load.

PSS is counted: a page that several processes share counts for each in part, so that
the sum is what is really used.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench.bench import Bench
from bench.client import Spec
from bench.load import load
from bench.measure import Meter, Sample
from bench.options import Sizes
from bench.ports import free_port
from bench.results import Ratio, WrongResult
from bench.servers import is_ready, running, wait_for
from bench.world import PASSES

MB: Final = 2**20
WORKER_MB: Final = 200.0
ALL_MB: Final = 1024.0
FLAT: Final = 1.1
CONNECTIONS: Final = 16
SIGNED_UP: Final = "Signed Up"  # starts one of the sample rules
LOOK_S: Final = 15.0
WARM_SHARE: Final = 0.2  # of a soak, in which caches and pools fill
PEOPLE: Final = 50_000


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="memory.worker",
            title="memory of a web worker under load",
            num="memory.worker",
            by="value",
            target=WORKER_MB,
            unit=" MB",
        ),
        Ratio(
            id="memory.all",
            title="memory of the whole `make run` under load",
            num="memory.all",
            by="value",
            target=ALL_MB,
            unit=" MB",
        ),
        Ratio(
            id="memory.flat",
            title="memory at the end of a soak / after its start",
            num="memory.flat",
            by="value",
            target=FLAT,
        ),
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """Megabytes: of the largest web worker, and of all processes."""

    worker: float
    everything: float


def run(bench: Bench) -> None:
    """Load the whole product as `make run` starts it, and look at its processes."""
    minutes = bench.options.soak_minutes
    seconds = max(minutes * 60, bench.sizes.memory_s)
    with _product(bench.stage.folder / "product") as product:
        looks = product.load(bench.meter, seconds)
    last = looks[-1]
    for name, value in (("worker", last.worker), ("all", last.everything)):
        bench.report.add(f"memory.{name}", Sample(1, seconds, value=value))
    if minutes:
        kept = looks[int(len(looks) * WARM_SHARE) :]
        third = max(1, len(kept) // 3)
        before = median(look.everything for look in kept[:third])
        after = median(look.everything for look in kept[-third:])
        bench.report.add("memory.flat", Sample(1, seconds, value=after / before))
        bench.report.notes.append(
            f"Soak of {minutes:g} minutes: {before:.0f} MB after the start, "
            f"{after:.0f} MB at the end."
        )


class _Product:
    """The product, running."""

    def __init__(self, pid: int, port: int, key: str) -> None:
        self._pid = pid
        self._port = port
        self._key = key
        self._rounds = 0

    def load(self, meter: Meter, seconds: float) -> list[Held]:
        """Post events for so long; look from time to time."""
        end = time.monotonic() + seconds
        looks: list[Held] = []
        while time.monotonic() < end:
            left = end - time.monotonic()
            self._rounds += 1
            spec = Spec(
                port=self._port,
                key=self._key,
                name=f"memory{self._rounds}",
                connections=CONNECTIONS,
                seconds=max(0.2, min(LOOK_S, left)),
                people=PEOPLE,
                enters=SIGNED_UP,
                passes=PASSES,
                share=0.02,
                seed=self._rounds,
            )
            load(spec, meter)
            looks.append(self.held())
        return looks

    def held(self) -> Held:
        """Look at all processes."""
        run = psutil.Process(self._pid)
        family = [run, *run.children(recursive=True)]
        workers = [p for p in family if _is_worker(p)]
        if not workers:
            raise WrongResult("there is no web worker")
        return Held(max(pss_mb([p]) for p in workers), pss_mb(family))


@contextmanager
def _product(folder: Path) -> Iterator[_Product]:
    folder.mkdir(mode=0o711)
    port = free_port()
    environment = {
        "VAR_DIR": str(folder),
        "PORT": str(port),
        "INBOX_PORT": str(free_port()),
        "DATABASE_URL": "",
        "SECRET_KEY": "",
    }
    log = folder / "run.log"
    with running(["manage.py", "run"], environment, log=log) as process:
        wait_for(lambda: is_ready(port), process, log)
        key = (folder / "write_key").read_text(encoding="utf-8").strip()
        yield _Product(process.pid, port, key)


def _is_worker(process: psutil.Process) -> bool:
    """Return whether it is a child of the web server's main process."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return parent is not None and "granian" in " ".join(parent.cmdline())
    return False


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Return the memory of processes, shared pages in part, in megabytes.

    Raises WrongResult where the system does not tell.
    """
    used = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                raise WrongResult("this system does not tell PSS") from None
            continue
        (line,) = (x for x in text.splitlines() if x.startswith("Pss:"))
        used += int(line.split()[1]) * 1024
    return used / MB
