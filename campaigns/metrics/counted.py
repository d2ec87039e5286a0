"""The counters and histograms: few, in seconds, with labels of few values.

No label ever holds what a client or customer sent.
"""

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

from campaigns.metrics import shared

shared.share()
REGISTRY: Final = CollectorRegistry()
QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LATE: Final = (
    0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 86400,
)  # fmt: skip
LANES: Final = ("transactional", "marketing")

EVENTS: Final = Counter(
    "emailtriggers_events",
    "Events by the kind of their source, and what became of them.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
REQUESTS: Final = Histogram(
    "emailtriggers_http_request_seconds",
    "From a request's head to its answer, by the kind of path and the answer's class.",
    ["route", "status"],
    buckets=QUICK,
    registry=REGISTRY,
)
TRANSACTIONS: Final = Histogram(
    "emailtriggers_transaction_seconds",
    "Deciding transactions with their repetitions, until the commit, by stage.",
    ["stage"],
    buckets=QUICK,
    registry=REGISTRY,
)
DECISIONS: Final = Histogram(
    "emailtriggers_event_decision_seconds",
    "From an event that was read to the commit of what was decided about it.",
    ["kind"],
    buckets=QUICK,
    registry=REGISTRY,
)
ADVANCED: Final = Histogram(
    "emailtriggers_timer_lateness_seconds",
    "From when a journey was due to when it went on.",
    ["lane"],
    buckets=LATE,
    registry=REGISTRY,
)
SENT: Final = Histogram(
    "emailtriggers_mail_lateness_seconds",
    "From when a mail was due to when the provider had accepted it.",
    ["lane"],
    buckets=LATE,
    registry=REGISTRY,
)
RESPONSES: Final = Histogram(
    "emailtriggers_trigger_response_seconds",
    "From an event's receipt to its accepted mail, if that was due at once.",
    ["lane"],
    buckets=LATE,
    registry=REGISTRY,
)
MOVES: Final = Counter(
    "emailtriggers_message_moves",
    "Messages that came into a state, and why.",
    ["state", "reason"],
    registry=REGISTRY,
)
ANSWERS: Final = Counter(
    "emailtriggers_provider_answers",
    "What the provider answered to hand-overs.",
    ["provider", "answer"],
    registry=REGISTRY,
)
CALLS: Final = Histogram(
    "emailtriggers_provider_call_seconds",
    "Calls to the provider, whatever it answered.",
    ["provider"],
    buckets=QUICK,
    registry=REGISTRY,
)
APPLIED: Final = Histogram(
    "emailtriggers_webhook_lag_seconds",
    "From a webhook's receipt to when it was applied.",
    buckets=LATE,
    registry=REGISTRY,
)
GIVEN_UP: Final = Counter(
    "emailtriggers_webhooks_given_up",
    "Webhook bodies that could not be applied and are not tried again.",
    registry=REGISTRY,
)

_WORD: Final = re.compile(r"[a-z0-9_]{1,40}")


def collected() -> Iterable[Metric]:
    """Return what was counted on this host."""
    return shared.collected(REGISTRY)


def word(text: str) -> str:
    """Return a label's value: a plain word as it is, else "other"."""
    return text if _WORD.fullmatch(text) else "other"


def lane_name(lane: int) -> str:
    """Return the word for a lane's number."""
    return LANES[lane] if 0 <= lane < len(LANES) else "other"
