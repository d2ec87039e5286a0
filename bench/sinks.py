"""The provider's stand-in, from the side of the scenarios."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from bench.pipes import Child, child
from bench.place import Place, rows
from bench.results import WrongResult
from bench.sink import Spec


class Sinking:
    """A sink that runs; `check` compares what it took with the database."""

    def __init__(self, process: Child, port: int, *, scheme: str) -> None:
        """Take the started process and where it listens."""
        self._process = process
        self.url = f"{scheme}://localhost:{port}"
        self.pid = process.pid

    def taken(self) -> int:
        """Return how many mails arrived since the last time."""
        return int(self._process.asked()["count"])

    def check(self) -> int:
        """Return how many mails arrived since the last time.

        Raises WrongResult if one was handed over before its `sending` was committed,
        twice, or without an attempt. Needs to be where the mails are.
        """
        told = self._process.asked()
        if told["too_early"]:
            raise WrongResult(f"handed over before the commit: {told['too_early'][:3]}")
        tokens = {UUID(token) for token in told["tokens"]}
        if len(tokens) != told["count"]:
            raise WrongResult(f"{told['count']} hand-overs, {len(tokens)} tokens")
        ((known,),) = rows(
            "SELECT count(*) FROM campaigns_attempt WHERE id = ANY(%s)", list(tokens)
        )
        if known != len(tokens):
            raise WrongResult(f"{len(tokens)} hand-overs, {known} attempts")
        return len(tokens)


@contextmanager
def sink(
    place: Place | None, *, delay_ms: float = 0.0, certificate: Path | None = None
) -> Iterator[Sinking]:
    """Run a provider's stand-in that looks into `place` for the tokens it is given."""
    spec = Spec(
        delay_ms=delay_ms,
        database=place.url if place else "",
        certificate=str(certificate or ""),
    )
    with child("bench.sink") as process:
        process.say(asdict(spec))
        port = process.told()
        yield Sinking(process, port, scheme="https" if certificate else "http")
