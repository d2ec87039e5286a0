"""Whether webhooks wait: what the feedback cluster's broker asks all the time."""

from campaigns.deciding import clock, database
from campaigns.deciding.incarnation import Restored


def anything_due() -> bool:
    """Return whether a stored webhook body waits to be applied."""
    try:
        ((due,),) = database.run("feedback_due", now=clock.now())
    except Restored:  # the supervisor says so; nothing is done until it is in order
        return False
    return bool(due)
