"""Time and processor time of a piece of work, by whose processes they are."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import quantiles

import psutil


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of processor time: ours, of servers that we started, of PostgreSQL."""

    own: float = 0.0
    servers: float = 0.0
    postgres: float = 0.0

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(
            self.own - other.own,
            self.servers - other.servers,
            self.postgres - other.postgres,
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed part: `n` pieces of work in `seconds`.

    `cpu.own` is the work's own where it ran in this process; over HTTP it is zero,
    and `client_s` is what the clients used. `value` is for figures that are no rate.
    """

    n: int
    seconds: float
    cpu: Cpu = field(default_factory=Cpu)
    latencies_ms: Sequence[float] = ()
    client_s: float = 0.0
    value: float | None = None

    @property
    def rate(self) -> float:
        """Return pieces a second."""
        return self.n / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float:
        """Return microseconds of the product's own processes for each piece."""
        return self._each(self.cpu.own + self.cpu.servers)

    @property
    def postgres_cpu_us(self) -> float:
        """Return microseconds of PostgreSQL's processes for each piece."""
        return self._each(self.cpu.postgres)

    @property
    def client_cpu_us(self) -> float:
        """Return microseconds of the load's processes for each piece."""
        return self._each(self.client_s)

    @property
    def cpu_us(self) -> float:
        """Return what a piece costs: product and PostgreSQL together."""
        return self.server_cpu_us + self.postgres_cpu_us

    def percentile(self, percent: int) -> float | None:
        """Return a percentile of the latencies in milliseconds, None if there are none."""
        return percentile(self.latencies_ms, percent)

    def _each(self, seconds: float) -> float:
        return seconds / self.n * 1e6 if self.n else 0.0


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return that percentile, None of no values."""
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


class Meter:
    """Reads the processor time that the run's processes have used."""

    def __init__(self, postgres: int) -> None:
        """Take the pid of the postmaster."""
        self._postgres = postgres
        self._servers: Sequence[int] = ()

    @contextmanager
    def watching(self, *servers: int) -> Iterator[None]:
        """Count these processes, and their children, as servers."""
        self._servers = servers
        try:
            yield
        finally:
            self._servers = ()

    def cpu(self) -> Cpu:
        """Return what was used up to now; of ended processes, too, once reaped."""
        return Cpu(time.process_time(), _used(self._servers), _used([self._postgres]))

    def timed(self, work: Callable[[], int]) -> Sample:
        """Run work in this process; it returns how many pieces it did."""
        gc.collect()
        gc.freeze()
        try:
            cpu, began = self.cpu(), time.perf_counter()
            n = work()
            seconds = time.perf_counter() - began
            return Sample(n, seconds, self.cpu() - cpu)
        finally:
            gc.unfreeze()


def _used(roots: Iterable[int]) -> float:
    used = 0.0
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    used += sum(each.cpu_times()[:4])
    return used
