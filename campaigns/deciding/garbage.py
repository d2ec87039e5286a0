"""Less work for Python's search for cycles, in processes that stay.

A batch makes thousands of values that live until its commit and end with their last
reference. Python looks through the young ones after every 700 made, and finds next
to nothing: that was a fifth of the processor time of our side of an ingest batch.
"""

import gc
from typing import Final

YOUNG: Final = 20_000  # values made, less those that ended, between two searches


def collect_less() -> None:
    """Search rarely, and never among what the process was started with."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
