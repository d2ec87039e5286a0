"""The product's settings with the view that one would write first."""

from emailtriggers.settings import *  # noqa: F403

ROOT_URLCONF = "bench.naive"
# One connection a thread, kept, is fair; so is Django's own stack of middleware.
