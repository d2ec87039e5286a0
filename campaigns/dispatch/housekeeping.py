"""What has to be done now and then; each part is safe twice, at once, and late."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction

from campaigns.deciding import clock, rulesets
from campaigns.deciding.database import DatabaseAway
from campaigns.ingest import partitions
from campaigns.journeys import moves
from campaigns.models import IngestState, Journey, RejectedEvent, WebhookBatch

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

ROTATION_LOCK_MS: Final = 100
CHUNK: Final = 5_000
GOAL_GRACE: Final = timedelta(days=1)
ROLLED_UP: Final = timedelta(days=2)
REJECTED_DAYS: Final = 30
WEBHOOK_DAYS: Final = 30


def run(now: datetime | None = None) -> None:
    """Do all housekeeping that is due; one part's failure does not stop the others."""
    moment = now or clock.now()
    for part in PARTS:
        try:
            part(moment)
        except (DatabaseError, DatabaseAway):
            logger.exception(
                "housekeeping: %s failed; it is tried again", part.__name__
            )


def create_partitions(now: datetime) -> None:
    """Have this month's event partition and the next ones ready."""
    partitions.create_ahead(now)


def drop_old_events(now: datetime) -> None:
    """Drop event partitions past their retention."""
    month = partitions.month_of(now)
    for _ in range(settings.EVENT_RETENTION_MONTHS):
        month = partitions.month_of(month - timedelta(days=1))
    for name in partitions.drop_before(month):
        logger.info("dropped event partition %s", name)


def rotate_dedupe(now: datetime) -> None:
    """Empty the older generation of dedupe keys once the current one is old enough.

    A key therefore lives for at least DEDUPE_DAYS. Needs the ruleset's lock
    for a moment; tried for 100 ms, else at the next run.
    """
    due = now - timedelta(days=settings.DEDUPE_DAYS)
    if not IngestState.objects.filter(pk=1, rotated_at__lte=due).exists():
        return
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {ROTATION_LOCK_MS}")
            rulesets.lock_exclusive()
            state = IngestState.objects.get(pk=1)
            if state.rotated_at > due:
                return
            older = 1 - state.generation
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE campaigns_dedupe_{older}")
            IngestState.objects.filter(pk=1).update(generation=older, rotated_at=now)
    except DatabaseError as error:
        logger.info("dedupe rotation waits for a quieter moment: %s", error)


def forget_goals(now: datetime) -> None:
    """Stop watching ended journeys whose goal's time is over."""
    over = Journey.objects.filter(
        ended_at__isnull=False, watched_until__lt=now - GOAL_GRACE
    ).values("pk")[:CHUNK]
    Journey.objects.filter(pk__in=list(over.values_list("pk", flat=True))).update(
        watched_until=None
    )


def delete_cooldowns(now: datetime) -> None:
    """Delete cooldowns that are over, and none that begins anew meanwhile."""
    with connection.cursor() as cursor:
        # The time is asked for twice: behind a lock PostgreSQL looks at the outer one
        # again, at the inner one never, and at the ctid only in late minor versions.
        cursor.execute(
            "DELETE FROM campaigns_cooldown WHERE until < %(over)s AND ctid = ANY(ARRAY("
            "SELECT ctid FROM campaigns_cooldown WHERE until < %(over)s"
            " LIMIT %(limit)s))",
            {"over": now - timedelta(hours=1), "limit": CHUNK},
        )


def roll_up_counts(now: datetime) -> None:
    """Sum the deltas of past hours into one row for each rule, hour and reason.

    Hours older than ROLLED_UP are summed already, or stay in parts, which is as right.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM campaigns_decisioncount c USING ("
            " SELECT rule_id, hour, reason FROM campaigns_decisioncount"
            " WHERE hour < %(hour)s AND hour >= %(since)s"
            " GROUP BY 1, 2, 3 HAVING count(*) > 1) d"
            " WHERE (c.rule_id, c.hour, c.reason) = (d.rule_id, d.hour, d.reason)"
            " AND c.hour < %(hour)s AND c.hour >= %(since)s"
            " RETURNING c.rule_id, c.hour, c.reason, c.count)"
            " INSERT INTO campaigns_decisioncount (rule_id, hour, reason, count)"
            " SELECT rule_id, hour, reason, sum(count) FROM gone GROUP BY 1, 2, 3",
            {"hour": hour, "since": hour - ROLLED_UP},
        )


def delete_refused(now: datetime) -> None:
    """Delete rejected events and applied webhook batches that nobody looks at any more."""
    rejected = RejectedEvent.objects.filter(
        received_at__lt=now - timedelta(days=REJECTED_DAYS)
    )
    _delete_oldest(rejected)
    batches = WebhookBatch.objects.filter(
        received_at__lt=now - timedelta(days=WEBHOOK_DAYS), pending_at=None
    )
    _delete_oldest(batches)


def _delete_oldest(rows: "QuerySet[RejectedEvent] | QuerySet[WebhookBatch]") -> None:
    """Delete some, by the index on the time of receipt; the rest at the next runs."""
    oldest = rows.order_by("received_at").values_list("pk", flat=True)[:CHUNK]
    rows.model.objects.filter(pk__in=list(oldest)).delete()


def delete_sessions(now: datetime) -> None:
    """Delete sessions that ended, some at a time, and none that goes on meanwhile."""
    over = Session.objects.filter(expire_date__lt=now)
    oldest = over.order_by("expire_date").values_list("pk", flat=True)[:CHUNK]
    over.filter(pk__in=list(oldest)).delete()


def finish_moves(now: datetime) -> None:
    """Go on with resumes and archives that were cut short."""
    del now
    moves.finish_moves()


PARTS: Final[tuple[Callable[[datetime], None], ...]] = (
    create_partitions,
    drop_old_events,
    rotate_dedupe,
    forget_goals,
    delete_cooldowns,
    roll_up_counts,
    delete_refused,
    delete_sessions,
    finish_moves,
)
