"""One bounded round of work for a worker: rescue, advance, send, until nothing is due."""

import time
from typing import Final

from campaigns.journeys.advance import advance_due
from campaigns.sending.deliver import Flight
from campaigns.sending.settle import rescue

CLAIM_FOR_S: Final = 3.0
WAIT_S: Final = 0.02


def drain(*, limit_s: float = CLAIM_FOR_S) -> int:
    """Work off what is due, claiming for at most `limit_s` seconds; return how much.

    Advancing and sending take turns, so that a delay of 0 is sent in the same
    round that planned it.
    """
    until = time.monotonic() + limit_s
    done = rescue()
    flight = Flight()
    try:
        while time.monotonic() < until:
            worked = advance_due() + flight.send_due()
            if not worked and not flight.wait(WAIT_S):
                break
            done += worked
    except Exception:
        flight.land()
        raise
    flight.land()
    return done
