"""The product on two hosts: `manage.py run`, and the clusters of a second one."""

import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import psutil

from campaigns.management.processes import Child
from drill.plan import SECOND
from drill.schedule import Part
from tests.e2e.product import ROOT, Product, in_order

SETTINGS: Final = "drill.settings"
WITHOUT_COOLDOWN: Final = """
from campaigns.journeys.publishing import publish
from campaigns.models import Rule
rule = Rule.objects.get(name="Receipt")
rule.cooldown_amount, rule.cooldown_key = 0, ""
rule.save()
publish(rule.pk, by="drill")
"""
P = TypeVar("P", bound=Hashable)
WORKERS: Final = {"mail": 2, "feedback": 1}  # of each host


class Site(Product):
    """Web, database, simulator and clusters on a first host, clusters on a second."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Name the folder and what the environment sets beside ports and folder."""
        workers = {
            "CLUSTER_WORKERS": str(WORKERS["mail"]),
            "CLUSTER_FEEDBACK_WORKERS": str(WORKERS["feedback"]),
        }
        self.control = folder / "control.json"
        control = {"DRILL_CONTROL": str(self.control)}
        super().__init__(folder, **workers, **control, **settings)
        self.port = int(self.environment["PORT"])
        self.inbox_port = int(self.environment["INBOX_PORT"])
        # By sentinel, by child: processes, since numbers come again within an hour.
        self._roles: dict[psutil.Process, dict[psutil.Process, Part]] = {}
        self._second = folder / "second"
        self._child: Child | None = None

    def start(self) -> float:
        """Start both hosts; return how many seconds it took until all was well."""
        took = super().start()
        self._drop_cooldown()
        self._second.mkdir(exist_ok=True)
        self._child = Child(
            "second host",
            [
                *("/bin/sh", "-c", 'exec "$0" "$@" >>"$DRILL_LOG" 2>&1'),
                *(sys.executable, "manage.py", "cluster", "--skip-checks"),
                *("--grace", "6"),
            ],
            environment={
                **self.environment,
                "VAR_DIR": str(self._second),
                "EMBEDDED_PG_DIR": str(self.var / "postgres"),
                "SECRET_KEY": (self.var / "secret_key").read_text().strip(),
                "CLUSTER_HOST": SECOND,
                "DRILL_LOG": str(self.second_log),
            },
            folder=ROOT,
        )
        self._child.start()
        return took

    def _drop_cooldown(self) -> None:
        """Let each order have its receipt, so that an event counted twice shows."""
        done = self.manage("shell", "--no-imports", "-c", WITHOUT_COOLDOWN)
        if done.returncode:
            raise RuntimeError(done.stderr)

    @property
    def second_log(self) -> Path:
        """What the second host says."""
        return self.log.with_name("second.log")

    def look(self) -> bool:
        """Restart the second host's supervisor if it is gone; return whether it was."""
        return self._child is not None and self._child.restart_when_dead() is not None

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        second = list(self._second_host())
        if self._child is not None:
            self._child.terminate()
        super().end()
        if self._child is not None:
            self._child.kill_group()
        for process in second:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def everybody(self) -> list[psutil.Process]:
        """Return all processes of both hosts."""
        return [*self.members(), *self._second_host()]

    def parts(self, part: Part) -> list[psutil.Process]:
        """Return the living processes of that kind, oldest first; none while away."""
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            for supervisor in self._supervisors():
                if part is Part.SUPERVISOR:
                    found.append(supervisor)
                else:
                    found += self._of_clusters(supervisor, part)
            if part in (Part.WEB, Part.WEB_WORKER):
                found = list(self._web(part))
            elif part in (Part.POSTMASTER, Part.BACKEND):
                found = list(self._postgres(part))
        return in_order(found)

    def _first_host(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            if self.process is not None:
                return psutil.Process(self.process.pid).children()
        return []

    def _second_host(self) -> Iterator[psutil.Process]:
        if self._child is None or self._child.pid is None:
            return
        with suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self._child.pid)
            yield supervisor
            yield from supervisor.children(recursive=True)

    def _supervisors(self) -> list[psutil.Process]:
        second = [next(self._second_host(), None)]
        return [
            process
            for process in (*self._first_host(), *second)
            if process is not None and _runs(process, "cluster")
        ]

    def _of_clusters(
        self, supervisor: psutil.Process, part: Part
    ) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for main in supervisor.children():
            workers = WORKERS.get(main.environ().get("Q_CLUSTER_NAME", ""))
            sentinels = in_order(main.children())[:1]
            if workers is None:
                continue
            if part in (Part.MAIN, Part.SENTINEL):
                found += [main] if part is Part.MAIN else sentinels
            for sentinel in sentinels:
                children = in_order(sentinel.children())
                roles = self._roles.setdefault(sentinel, {})
                roles.update(cast_anew(roles, children, workers))
                found += [c for c in children if roles.get(c) is part]
        return found

    def _web(self, part: Part) -> Iterator[psutil.Process]:
        for process in self._first_host():
            if _runs(process, "granian"):
                yield from [process] if part is Part.WEB else process.children()

    def _postgres(self, part: Part) -> Iterator[psutil.Process]:
        for process in self._first_host():
            if process.name() != "postgres":
                continue
            if part is Part.POSTMASTER:
                yield process
            else:
                yield from filter(_serves_a_client, process.children())


def _runs(process: psutil.Process, word: str) -> bool:
    with suppress(psutil.NoSuchProcess):
        return word in process.cmdline()
    return False


def _serves_a_client(process: psutil.Process) -> bool:
    """PostgreSQL's title of such a process: user, database, `[local]`, what it does."""
    with suppress(psutil.NoSuchProcess):
        return "[local]" in " ".join(process.cmdline())
    return False


def cast_anew(
    known: Mapping[P, Part], children: Sequence[P], workers: int
) -> dict[P, Part]:
    """Return which of a sentinel's `children` is what; the oldest come first.

    At first django-q2 makes workers, monitor and pusher in this order; later who is
    not `known` took the place of who is gone. While not all are there: nothing.
    """
    cast = [*(Part.WORKER for _ in range(workers)), Part.MONITOR, Part.PUSHER]
    if len(children) != len(cast):
        return {}
    if not known:
        return dict(zip(children, cast, strict=True))
    for child in children:
        if child in known:
            cast.remove(known[child])
    return dict(zip((c for c in children if c not in known), cast, strict=True))
