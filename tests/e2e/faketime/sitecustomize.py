"""For processes under libfaketime, which fails how Python sleeps, and nothing else.

Python 3.11 sleeps by clock_nanosleep until a monotonic instant; libfaketime 0.9.10 takes
that for one of its own times, though told to leave that clock alone: EINVAL.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
