"""The product's door without group commit: each request has a transaction of its own.

Only that differs: the same handlers read the requests, and as many threads record as
otherwise serve Django's views.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module

import django
from django.conf import settings

django.setup()

# Importable only now that Django is set up.
from campaigns.ingest.lane import Lane  # noqa: E402
from campaigns.ingest.record import Batch, Recorded, record_all  # noqa: E402
from emailtriggers.web import door  # noqa: E402

__all__ = ["door"]


class Straight(Lane):
    """A lane that lets nobody wait for others."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(settings.WEB_THREADS)

    def record(self, batch: Batch) -> Recorded:
        """Record in the caller's thread."""
        return record_all([batch])[0]

    def submit(self, batch: Batch) -> "Future[Recorded]":
        """Record in one of the threads."""
        return self._threads.submit(self.record, batch)


_straight = Straight()
for _name in ("emailtriggers.events", "campaigns.receive.views"):
    vars(import_module(_name))["LANE"] = _straight
