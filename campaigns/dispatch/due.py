"""Whether there is work: what the cluster's broker asks every few milliseconds."""

from campaigns.deciding import clock, database
from campaigns.deciding.incarnation import Restored


def anything_due() -> bool:
    """Return whether a timer, a queued mail or an expired lease waits to be worked off."""
    try:
        ((due,),) = database.run("anything_due", now=clock.now())
    except Restored:  # the supervisor says so; nothing is done until it is in order
        return False
    return bool(due)
