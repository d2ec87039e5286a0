"""Processes that a scenario needs: web servers, clusters, the provider's stand-in."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psutil
from django.conf import settings

from bench.machine import ROOT
from bench.place import Place
from bench.ports import free_port
from bench.results import WrongResult
from campaigns.management.processes import dies_with_parent

START_S: Final = 60.0
STOP_S: Final = 20.0
LOOK_S: Final = 0.05
LATE_S: Final = 120.0
NOBODY: Final = "http://127.0.0.1:9"  # gets mails where a scenario names no sink


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Python command; end it and all that it started when done."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop it by SIGTERM to its main process; kill what is left of its family."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in family:
        if each.is_running():
            each.kill()
    psutil.wait_procs(family, timeout=5)


@contextmanager
def web(place: Place, **environment: str) -> Iterator[tuple[int, int]]:
    """Serve a place as the product does; give (port, pid)."""
    with _served(["manage.py", "web"], place, environment) as found:
        yield found


@contextmanager
def granian(
    place: Place, application: str, *, interface: str, **environment: str
) -> Iterator[tuple[int, int]]:
    """Serve an application of the bench's, with as many workers and threads."""
    port = free_port()
    command = [
        *("-m", "granian", "--interface", interface, "--no-ws", "--http", "1"),
        *("--host", "127.0.0.1", "--port", str(port), "--log-level", "error"),
        *("--workers", str(settings.WEB_WORKERS), "--workers-kill-timeout", "5"),
        *("--backlog", "2048"),
    ]
    if interface == "wsgi":
        command += ["--blocking-threads", str(settings.WEB_THREADS)]
    given = {"PORT": str(port), **environment}
    with _served([*command, application], place, given) as found:
        yield found


@contextmanager
def _served(
    command: Sequence[str], place: Place, environment: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    port = int(environment.get("PORT") or free_port())
    given = {
        "SENDGRID_HOST": NOBODY,
        **environment,
        "PORT": str(port),
        "DATABASE_URL": place.url,
    }
    log = settings.VAR_DIR / f"web-{place.name}-{port}.log"
    with running(command, given, log=log) as process:
        wait_for(lambda: _answers(port), process, log)
        try:
            yield port, process.pid
        except WrongResult as wrong:
            said = _end_of(log)
            if said:
                raise WrongResult(f"{wrong}; a server's log: {said}") from wrong
            raise


@contextmanager
def cluster(place: Place, name: str, **environment: str) -> Iterator[int]:
    """Run one of the product's clusters on a place; give its supervisor's pid."""
    folder = settings.VAR_DIR / f"cluster-{place.name}"
    given = {
        "DATABASE_URL": place.url,
        "VAR_DIR": str(folder),
        "SENDGRID_HOST": NOBODY,
        **environment,
    }
    log = settings.VAR_DIR / f"cluster-{place.name}.log"
    with running(["manage.py", "cluster", name], given, log=log) as process:
        yield process.pid


def wait_for(
    what: Callable[[], bool],
    process: "subprocess.Popen[bytes]",
    log: Path,
    *,
    within_s: float = START_S,
) -> None:
    """Wait until something of that process is true; WrongResult if it does not come."""
    end = time.monotonic() + within_s
    while not what():
        if process.poll() is not None or time.monotonic() > end:
            raise WrongResult(f"a server did not start: {_end_of(log)}")
        time.sleep(LOOK_S)


def until(what: Callable[[], bool], why: str, *, within_s: float = LATE_S) -> None:
    """Wait for rows to come; WrongResult if that takes too long."""
    end = time.monotonic() + within_s
    while not what():
        if time.monotonic() > end:
            raise WrongResult(f"not within {within_s:.0f} s: {why}")
        time.sleep(LOOK_S)


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def is_ready(port: int) -> bool:
    """Return whether all of the product says that it is well."""
    return _answers(port, "/readyz")


def _answers(port: int, path: str = "/healthz") -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as asked:
        try:
            asked.request("GET", path, headers={"Host": "localhost"})
            return asked.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
