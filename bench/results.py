"""Samples to ratios, and both to JSON and to a table."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal

from bench.measure import Sample

SCHEMA: Final = 2  # 1 had `errors`, always 0, in each result, and no `judged`
NOISY: Final = 1.5  # a spread beyond which the processor time judges

By = Literal["rate", "cost", "p50", "p99", "value"]
Judge = Literal["clock", "cpu"]


class WrongResult(Exception):
    """What was measured did not do its work: the figures mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How one scenario compares with another; without `den`, a figure by itself.

    By "rate" more is better, and by all others less: "cost" is time for each piece,
    "value" what the scenario says. `target` is the limit, None to report only.
    """

    id: str
    title: str
    num: str
    den: str | None = None
    by: By = "rate"
    target: float | None = None
    unit: str = ""

    def passes(self, reached: float) -> bool | None:
        """Return whether the target is met, None without one."""
        if self.target is None:
            return None
        return reached >= self.target if self.by == "rate" else reached <= self.target


@dataclass(frozen=True, slots=True)
class Reached:
    """A ratio over all repeats: by the clock, and by processor time."""

    ratio: Ratio
    values: tuple[float, ...]
    by_cpu: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the ratio's median over the repeats."""
        return median(self.values)

    @property
    def cpu_median(self) -> float | None:
        """Return the same by processor time, None where that says nothing."""
        return median(self.by_cpu) if self.by_cpu else None

    @property
    def noisy(self) -> bool:
        """Return whether the repeats differ too much to believe the clock."""
        return max(self.values) > NOISY * min(self.values)

    @property
    def judged(self) -> Judge:
        """Return what is held against the target: the clock, or what is steadier."""
        return "cpu" if self.noisy and self.by_cpu else "clock"

    @property
    def passed(self) -> bool | None:
        """Return whether what judges meets the target, None without one."""
        return self.ratio.passes(
            median(self.by_cpu if self.judged == "cpu" else self.values)
        )

    @property
    def verdict(self) -> str:
        """Return what the table says of the target, '' without one."""
        if self.passed is None:
            return ""
        by = " (by CPU)" if self.judged == "cpu" else ""
        return f"{'reached' if self.passed else '**missed**'}{by}"

    def as_json(self) -> dict[str, object]:
        """Return it as in results/latest.json."""
        return {
            "id": self.ratio.id,
            "title": self.ratio.title,
            "num": self.ratio.num,
            "den": self.ratio.den,
            "by": self.ratio.by,
            "unit": self.ratio.unit,
            "median": round(self.median, 4),
            "min": round(min(self.values), 4),
            "max": round(max(self.values), 4),
            "cpu_median": _rounded(self.cpu_median, 4),
            "noisy": self.noisy,
            "judged": self.judged,
            "target": self.ratio.target,
            "pass": self.passed,
        }


@dataclass(slots=True)
class Report:
    """All samples of a run, by scenario; `wrong` says which results were not right."""

    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    ratios: list[Ratio] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, scenario: str, sample: Sample) -> None:
        """Add the next repeat's sample of a scenario."""
        self.samples[scenario].append(sample)

    def drop(self, *, but: Collection[str]) -> None:
        """Forget the samples of all other scenarios, and with them their ratios."""
        for name in self.samples.keys() - set(but):
            del self.samples[name]

    def reached(self) -> list[Reached]:
        """Return the ratios whose scenarios have run."""
        return [r for ratio in self.ratios if (r := self._reached(ratio)) is not None]

    def _reached(self, ratio: Ratio) -> Reached | None:
        above = self.samples.get(ratio.num, [])
        if ratio.den is None:
            values = [v for s in above if (v := _figure(s, ratio.by)) is not None]
            return Reached(ratio, tuple(values), ()) if values else None
        pairs = list(zip(above, self.samples.get(ratio.den, []), strict=False))
        values = [v for a, b in pairs if (v := _compared(a, b, ratio.by)) is not None]
        by_cpu = [v for a, b in pairs if (v := _by_cpu(a, b, ratio.by)) is not None]
        return Reached(ratio, tuple(values), tuple(by_cpu)) if values else None

    def missed(self) -> list[Reached]:
        """Return the ratios that do not reach their targets."""
        return [r for r in self.reached() if r.passed is False]

    def rows(self) -> Iterator[dict[str, object]]:
        """Return the samples as in results/latest.json."""
        for scenario, samples in self.samples.items():
            for repeat, sample in enumerate(samples):
                yield _row(scenario, repeat, sample)


def _row(scenario: str, repeat: int, sample: Sample) -> dict[str, object]:
    row: dict[str, object] = {
        "scenario": scenario,
        "repeat": repeat,
        "n": sample.n,
        "seconds": round(sample.seconds, 4),
        "rate": round(sample.rate, 1),
        "p50_ms": _rounded(sample.percentile(50)),
        "p99_ms": _rounded(sample.percentile(99)),
        "client_cpu_us": round(sample.client_cpu_us, 1),
        "srv_cpu_us": round(sample.server_cpu_us, 1),
        "pg_cpu_us": round(sample.postgres_cpu_us, 1),
    }
    return row if sample.value is None else row | {"value": round(sample.value, 3)}


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _figure(sample: Sample, by: By) -> float | None:
    if by in ("p50", "p99"):
        return sample.percentile(50 if by == "p50" else 99)
    return sample.value if by == "value" else sample.rate


def _compared(above: Sample, below: Sample, by: By) -> float | None:
    if by == "cost":
        return below.rate / above.rate if above.rate else None
    top, bottom = _figure(above, by), _figure(below, by)
    return top / bottom if top is not None and bottom else None


def _by_cpu(above: Sample, below: Sample, by: By) -> float | None:
    """Return the same ratio as processor time has it, None where it says nothing."""
    if by not in ("rate", "cost") or not above.cpu_us or not below.cpu_us:
        return None
    dearer = above.cpu_us / below.cpu_us
    return dearer if by == "cost" else 1 / dearer


def table(reached: Sequence[Reached]) -> str:
    """Return the ratios as a table in Markdown."""
    lines = [
        "| ratio | median | min to max | by CPU | target | |",
        "|---|---|---|---|---|---|",
    ]
    for each in reached:
        r = each.ratio
        sign = "≥" if r.by == "rate" else "≤"
        target = f"{sign} {number(r.target)}{r.unit}" if r.target is not None else ""
        by_cpu = number(each.cpu_median) if each.cpu_median is not None else ""
        noisy = " (noisy)" if each.noisy else ""
        lines.append(
            f"| {r.title} | {number(each.median)}{r.unit} | {number(min(each.values))} "
            f"to {number(max(each.values))}{noisy} | {by_cpu} | {target} | {each.verdict} |"
        )
    return "\n".join(lines)


def figures(report: Report) -> str:
    """Return what each scenario reached, as a table in Markdown; medians."""
    lines = [
        "| scenario | a second | p50 / p99 ms | CPU µs each: product / PostgreSQL |",
        "|---|---|---|---|",
    ]
    for name, samples in report.samples.items():
        if all(s.value is not None for s in samples):
            continue
        by_rate = sorted(samples, key=lambda s: s.rate)
        middle = by_rate[len(by_rate) // 2]
        p50, p99 = middle.percentile(50), middle.percentile(99)
        late = f"{number(p50)} / {number(p99)}" if p50 and p99 else ""
        lines.append(
            f"| `{name}` | {number(middle.rate)} | {late} | "
            f"{middle.server_cpu_us:.0f} / {middle.postgres_cpu_us:.0f} |"
        )
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number as people read it: three figures."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2f}"
