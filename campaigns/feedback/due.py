"""Whether webhooks wait: what the feedback cluster's broker asks all the time."""

from campaigns.deciding import clock, database


def anything_due() -> bool:
    """Return whether a stored webhook body waits to be applied."""
    ((due,),) = database.run("feedback_due", now=clock.now())
    return bool(due)
