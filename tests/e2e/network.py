"""Hosts of one machine: network namespaces, and a hub between them that can lose packets.

Each host has an address of its own behind the hub, so what the hub drops is lost as it
is in life: nobody is told, no connection is refused. Needs root and iproute2.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAMESPACES: Final = Path("/run/netns")
OWN: Final = Path("/proc/thread-self/ns/net")
CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words: str) -> None:
    """Run iproute2's ip."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Network:
    """Hosts by name, each with a way to all others until it is cut."""

    def __init__(self, *names: str) -> None:
        """Name the hosts; `build` makes them."""
        self._names = names
        self._hub = self._space("hub")

    def build(self) -> "Network":
        """Make the namespaces, their links and routes."""
        for name in ("hub", *self._names):
            ip("netns", "add", self._space(name))
            ip("-n", self._space(name), "link", "set", "lo", "up")
        for number, name in enumerate(self._names, 1):
            space, link = self._space(name), f"to{number}"
            ip(
                *("link", "add", link, "netns", self._hub, "type", "veth"),
                *("peer", "name", "eth0", "netns", space),
            )
            ip("-n", self._hub, "address", "add", f"198.18.{number}.1/24", "dev", link)
            ip("-n", self._hub, "link", "set", link, "up")
            ip("-n", space, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "route", "add", "default", "via", f"198.18.{number}.1")
        with self.inside("hub"):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return self

    def remove(self) -> None:
        """Take all of it away; what still runs inside keeps its own until it ends."""
        for name in (*self._names, "hub"):
            if (NAMESPACES / self._space(name)).exists():
                ip("netns", "del", self._space(name))

    def address(self, name: str) -> str:
        """Return a host's address (of the range for tests, RFC 2544)."""
        return f"198.18.{self._names.index(name) + 1}.2"

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Have this thread, and what it starts, be on that host."""
        with OWN.open("rb") as before, self._file(name).open("rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def cut(self, one: str, other: str | None = None) -> None:
        """Lose all packets between the two; without another one, all of this host."""
        for rule in self._rules(one, other):
            ip("-n", self._hub, "rule", "add", *rule, "blackhole")

    def heal(self, one: str, other: str | None = None) -> None:
        """Undo such a cut."""
        for rule in self._rules(one, other):
            ip("-n", self._hub, "rule", "del", *rule, "blackhole")

    def _rules(self, one: str, other: str | None) -> Sequence[Sequence[str]]:
        here = self.address(one)
        if other is None:
            return [("from", here), ("to", here)]
        there = self.address(other)
        return [("from", here, "to", there), ("from", there, "to", here)]

    def _space(self, name: str) -> str:
        return f"et{os.getpid()}-{name}"

    def _file(self, name: str) -> Path:
        return NAMESPACES / self._space(name)


def _enter(file: int) -> None:
    if _libc.setns(file, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), threading.current_thread().name)
