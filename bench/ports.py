"""A free port, for servers that a measurement or a test starts."""

import random
import socket
from contextlib import closing, suppress


def free_port() -> int:
    """Return a port of this machine that nobody listens on.

    It is below the ports that the kernel gives to outgoing connections (32768 and
    up on Linux), so that none of those takes it before the server does.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
