"""Numbers for lists and the first page: soon read, or honestly missing."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.db import OperationalError
from django.db.models import Count, Sum
from django.db.transaction import atomic

from campaigns.deciding import clock
from campaigns.deciding.patience import no_longer_than, took_too_long
from campaigns.models import DecisionCount, Message

PATIENCE_MS: Final = 800
WEEK: Final = timedelta(days=7)

T = TypeVar("T")


def quickly(read: Callable[[], T]) -> T | None:
    """Return what `read` reads, None if a statement takes longer than PATIENCE_MS."""
    try:
        with atomic(), no_longer_than(PATIENCE_MS):
            return read()
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return None


def rule_counts() -> dict[str, Mapping[int, int] | None]:
    """Return how many entered and were sent a mail in 7 days, by rule."""
    since = clock.now() - WEEK
    return {
        "entered": quickly(lambda: _entered(since)),
        "sent": quickly(lambda: _sent(since)),
    }


def _entered(since: datetime) -> dict[int, int]:
    counts = DecisionCount.objects.filter(
        hour__gte=since, reason__in=["entered", "control"]
    )
    return dict(counts.values_list("rule_id").annotate(Sum("count")))


def _sent(since: datetime) -> dict[int, int]:
    sent = Message.objects.filter(created_at__gte=since, state="sent")
    return dict(sent.order_by().values_list("rule_id").annotate(Count("pk")))


def message_states() -> dict[str, int] | None:
    """Return how many messages of the last 7 days are in each state."""
    since = clock.now() - WEEK
    recent = Message.objects.filter(created_at__gte=since).order_by()
    return quickly(lambda: dict(recent.values_list("state").annotate(Count("pk"))))
