"""What every scenario is given: its size, databases, a meter, and where results go."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bench.measure import Meter, Sample
from bench.options import Options, Sizes
from bench.place import Place, places
from bench.results import Report
from bench.stage import Stage


class Bench:
    """One run."""

    def __init__(self, options: Options, stage: Stage, say: Callable[[str], None]):
        """Take the command line, the started PostgreSQL, and who tells the progress."""
        self.options = options
        self.stage = stage
        self.say = say
        self.report = Report()
        self.meter = Meter(stage.pid)

    @property
    def sizes(self) -> Sizes:
        """Return how large scenarios are in this run."""
        return self.options.sizes

    @contextmanager
    def places(self, *purposes: str) -> Iterator[list[Place]]:
        """Make a database for each purpose; drop them at the end."""
        with places(self.stage, *purposes) as found:
            yield found

    def interleaved(
        self, sides: Mapping[str, Callable[[], Sample]], *, repeat: int | None = None
    ) -> None:
        """Time the sides in turn, A B A B, as often as the options say.

        The machine's moods are then the same for both. Each side has been warmed up
        by its maker.
        """
        for _ in range(repeat or self.options.repeat):
            for name, side in sides.items():
                self.report.add(name, side())
