"""Child processes that are told and tell, a line each time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from bench.machine import ROOT
from bench.results import WrongResult
from campaigns.management.processes import dies_with_parent


class Child:
    """A module of the bench, run as a process of its own."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        """Start it."""
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
            preexec_fn=dies_with_parent(signal.SIGTERM),
        )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def say(self, value: object) -> None:
        """Write a line of JSON to it."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise WrongResult(f"{self._module} ended") from error

    def told(self) -> Any:
        """Return its next line, read as JSON."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            raise WrongResult(f"{self._module} ended without a word")
        return json.loads(line)

    def asked(self, value: object = "go") -> Any:
        """Say something and return the answer."""
        self.say(value)
        return self.told()

    def end(self) -> None:
        """End it."""
        with suppress(OSError):
            self._process.kill()
        self._process.communicate()


@contextmanager
def child(module: str, **environment: str) -> Iterator[Child]:
    """Run a module of the bench, and end it."""
    started = Child(module, environment)
    try:
        yield started
    finally:
        started.end()
