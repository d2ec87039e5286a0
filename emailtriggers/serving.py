"""The one command that serves the site; `manage.py run` and `manage.py web` use it."""

import resource
import sys
from pathlib import Path
from typing import Final

from django.conf import settings

# Files of a worker that are no client's: database, logs, libraries.
OTHER_FILES: Final = 100
HEADER_BYTES: Final = 64 * 2**10
BACKLOG: Final = 2048
JSON_LOGS: Final = Path(__file__).with_name("granian_logs.json")


def command(*, kill_after_s: int) -> list[str]:
    """Return what serves until SIGTERM, and then as long as requests are under way.

    After `kill_after_s` seconds of that, a worker is killed.
    """
    return [
        *(sys.executable, "-m", "granian", "--interface", "rsgi", "--no-ws"),
        *("--host", settings.BIND, "--port", str(settings.PORT)),
        *("--workers", str(settings.WEB_WORKERS)),
        # With HTTP 2 on offer, a client that says nothing could stay for ever.
        *("--http", "1", "--http1-buffer-size", str(HEADER_BYTES)),
        *("--http1-header-read-timeout", str(settings.WEB_HEADER_S * 1000)),
        *("--backlog", str(BACKLOG), "--backpressure", str(connections())),
        *("--respawn-failed-workers", "--respawn-interval", "0.5"),
        *("--workers-kill-timeout", str(kill_after_s), "--log-level", "error"),
        *(("--log-config", str(JSON_LOGS)) if settings.LOG_FORMAT == "json" else ()),
        "emailtriggers.web:door",
    ]


def connections() -> int:
    """Return how many clients a worker may hold, given how many files it may open.

    Beyond the files it could accept none, and would ask for the next without pause.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return int(settings.WEB_CONNECTIONS)
    room = most - OTHER_FILES - 2 * settings.WEB_THREADS
    return max(1, min(settings.WEB_CONNECTIONS, room))


def allow_files() -> None:
    """Raise this process's soft limit of open files to the hard one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
