"""Whether there is work: what the cluster's broker asks every few milliseconds."""

from campaigns.deciding import clock, database


def anything_due() -> bool:
    """Return whether a timer, a queued mail or an expired lease waits to be worked off."""
    ((due,),) = database.run("anything_due", now=clock.now())
    return bool(due)
