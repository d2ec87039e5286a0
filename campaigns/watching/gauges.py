"""What the database says of the present: few short reads, each by an index.

Counts are exact up to COUNTED rows; beyond, the planner's estimate stands in,
so that a scrape costs the same with a million rows as with ten thousand.
"""

import json
import platform
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

import django
from django.conf import settings
from django.db import connection
from django.db.transaction import atomic
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
)

from campaigns.deciding import clock, database
from campaigns.deciding.database import Row, call
from campaigns.deciding.outage import AWAY
from campaigns.deciding.patience import no_longer_than
from campaigns.metrics.counted import lane_name
from campaigns.models import ClusterBeat, Provider

COUNTED: Final = 10_000
PATIENCE_MS: Final = 2_000

TIMERS: Final = "SELECT FROM campaigns_timer WHERE lane = %s"
QUEUED: Final = (
    "SELECT FROM campaigns_message WHERE lane = %s AND not_before IS NOT NULL"
)


def collected() -> Iterator[Metric]:
    """Yield all gauges; without a database, only that there is none."""
    yield _build()
    up = GaugeMetricFamily(
        "emailtriggers_database_up", "Whether the database answered this scrape."
    )
    try:
        found = _read()
    except AWAY:
        connection.close()
        up.add_metric([], 0)
        yield up
        return
    up.add_metric([], 1)
    yield up
    yield from found


def _build() -> Metric:
    info = InfoMetricFamily("emailtriggers_build", "What runs here.")
    info.add_metric(
        [],
        {
            "version": settings.VERSION,
            "python": platform.python_version(),
            "django": django.get_version(),
        },
    )
    return info


def _read() -> list[Metric]:
    with atomic():
        # First of all a statement of ours, which tells the planner.
        ((told,),) = database.run("clock")
        with no_longer_than(PATIENCE_MS):
            return _gauges(clock.now(told))


def _gauges(now: datetime) -> list[Metric]:
    limit = COUNTED + 1
    timers, queue, messages, rest = database.run_all(
        [
            call("metrics_timers", now=now, limit=limit),
            call("metrics_queue", limit=limit),
            call("metrics_messages", limit=limit),
            call("metrics_rest", limit=limit),
        ]
    )
    return [
        *_timers(timers.rows, now),
        *_messages(queue.rows, messages.rows[0], now),
        *_webhooks(rest.rows[0], now),
        *_providers(now),
        *_clusters(now),
    ]


def _gauge(
    name: str, words: str, labels: Iterable[str] = ()
) -> tuple[Metric, Callable[..., None]]:
    family = GaugeMetricFamily(f"emailtriggers_{name}", words, labels=list(labels))

    def add(value: float | None, *values: str) -> None:
        if value is not None:
            family.add_metric(list(values), float(value))

    return family, add


def _age_s(since: datetime | None, now: datetime) -> float:
    """Return how long ago that was; 0 if never, or still to come."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _timers(rows: Iterable[Row], now: datetime) -> Iterator[Metric]:
    waiting, add_waiting = _gauge("timers", "Journeys that wait.", ["lane"])
    overdue, add_overdue = _gauge(
        "timers_overdue", f"Those that are due; at most {COUNTED + 1}.", ["lane"]
    )
    oldest, add_oldest = _gauge(
        "timers_overdue_age_seconds", "How late the latest of them is.", ["lane"]
    )
    for lane, count, due, first in rows:
        name = lane_name(lane)
        add_waiting(count if count <= COUNTED else _estimate(TIMERS, lane), name)
        add_overdue(due, name)
        add_oldest(_age_s(first, now), name)
    yield from (waiting, overdue, oldest)


def _messages(queue: Iterable[Row], other: Row, now: datetime) -> Iterator[Metric]:
    queued, add_queued = _gauge("messages_queued", "Mails that wait.", ["lane"])
    late, add_late = _gauge(
        "messages_queued_age_seconds",
        "Since when the first of them could have been sent.",
        ["lane"],
    )
    for lane, count, first in queue:
        name = lane_name(lane)
        add_queued(count if count <= COUNTED else _estimate(QUEUED, lane), name)
        add_late(_age_s(first, now), name)
    states, add_state = _gauge(
        "messages",
        f"Mails claimed or sending, held, unknown; at most {COUNTED + 1} each.",
        ["state"],
    )
    in_hand, held, unknown, since = other
    for state, count in (("in_hand", in_hand), ("held", held), ("unknown", unknown)):
        add_state(count, state)
    age, add_age = _gauge(
        "messages_unknown_age_seconds", "Since when the oldest unknown mail is so."
    )
    add_age(_age_s(since, now))
    yield from (queued, late, states, age)


def _webhooks(row: Row, now: datetime) -> Iterator[Metric]:
    pending, since, last, transaction_s = row
    waiting, add_waiting = _gauge(
        "webhooks_pending", f"Stored webhooks that wait; at most {COUNTED + 1}."
    )
    add_waiting(pending)
    age, add_age = _gauge(
        "webhooks_pending_age_seconds", "Since when the first of them does."
    )
    add_age(_age_s(since, now))
    seen, add_seen = _gauge(
        "webhooks_last_age_seconds", "Since the last webhook; absent before the first."
    )
    add_seen(_age_s(last, now) if last else None)
    oldest, add_oldest = _gauge(
        "database_oldest_transaction_seconds",
        "How long the oldest transaction in this database has been open.",
    )
    add_oldest(transaction_s or 0.0)
    yield from (waiting, age, seen, oldest)


def _providers(now: datetime) -> Iterator[Metric]:
    label = ["provider"]
    info = InfoMetricFamily(
        "emailtriggers_provider", "Which provider has this number.", labels=label
    )
    enabled, add_enabled = _gauge("provider_enabled", "Whether it may be used.", label)
    paused, add_paused = _gauge(
        "provider_paused_seconds", "For how long yet nothing is claimed for it.", label
    )
    broken, add_broken = _gauge(
        "provider_breaker_open", "1: open; 0.5: tried with single mails.", label
    )
    tokens, add_tokens = _gauge("provider_tokens", "Sends that it has room for.", label)
    rate, add_rate = _gauge("provider_rate", "Sends a second that it may get.", label)
    for row in Provider.objects.all():
        key = str(row.pk)
        info.add_metric([key], {"name": row.name, "kind": row.kind})
        add_enabled(row.enabled, key)
        add_paused(_left_s(row.paused_until, now), key)
        add_broken(_breaker(row.open_until, now), key)
        grown = _age_s(row.tokens_at, now) * row.rate_per_s
        add_tokens(min(row.burst, row.tokens + grown), key)
        add_rate(row.rate_per_s, key)
    yield from (info, enabled, paused, broken, tokens, rate)


def _left_s(until: datetime | None, now: datetime) -> float:
    return max(0.0, (until - now).total_seconds()) if until else 0.0


def _breaker(open_until: datetime | None, now: datetime) -> float:
    if open_until is None:
        return 0.0
    return 1.0 if open_until > now else 0.5


def _clusters(now: datetime) -> Iterator[Metric]:
    labels = ["cluster", "host"]
    age, add_age = _gauge(
        "canary_age_seconds",
        "Since a canary came back, or a stop; absent after a start until one did.",
        labels,
    )
    restarts = CounterMetricFamily(
        "emailtriggers_cluster_restarts",
        "Restarts that nobody asked for.",
        labels=labels,
    )
    ready, add_ready = _gauge(
        "cluster_ready", "Whether some host's cluster of that name works.", ["cluster"]
    )
    alive = set()
    for beat in ClusterBeat.objects.all():
        cluster, _, host = beat.name.partition("@")
        since = beat.away(now)
        add_age(since.total_seconds() if since is not None else None, cluster, host)
        if beat.works(now):
            alive.add(cluster)
        restarts.add_metric([cluster, host], beat.restarts)
    for name in settings.CLUSTERS:
        add_ready(name in alive, name)
    yield from (age, restarts, ready)


def _estimate(statement: str, lane: int) -> float:
    """Return how many rows the planner expects: its statistics and the table's size."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", [lane])
        (plan,) = cursor.fetchone()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return max(float(COUNTED), float(found[0]["Plan"]["Plan Rows"]))
