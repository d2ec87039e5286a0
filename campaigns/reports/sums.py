"""Whether the books balance (design, invariant 9)."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Difference:
    """One sum that does not come out."""

    what: str
    rule: int | None
    left: int
    right: int

    def __str__(self) -> str:
        where = f" of rule {self.rule}" if self.rule is not None else ""
        return f"{self.what}{where}: {self.left} is not {self.right}"


@dataclass(frozen=True, slots=True)
class Sums:
    """One rule's totals."""

    rule: int
    touched: int
    entered: int
    journeys: int
    messages: int


CHECKS = {
    "open journeys without exactly one timer, unsettled message or hold": """
        SELECT j.rule_id, count(*), 0 FROM campaigns_journey j
        WHERE j.ended_at IS NULL AND 1 <> (
          (SELECT count(*) FROM campaigns_timer t WHERE t.journey_id = j.id)
          + (SELECT count(*) FROM campaigns_message m
             WHERE m.journey_id = j.id AND m.redriven_at IS NULL
               AND m.state IN ('queued', 'claimed', 'sending', 'held'))
          + (CASE WHEN j.state = 'held' THEN 1 ELSE 0 END))
        GROUP BY 1""",
    "timers without a waiting journey": """
        SELECT NULL::bigint, count(*), 0 FROM campaigns_timer t
        LEFT JOIN campaigns_journey j ON j.id = t.journey_id
        WHERE j.state IS DISTINCT FROM 'waiting' HAVING count(*) > 0""",
    "journeys and entries decided": """
        SELECT COALESCE(j.rule_id, d.rule_id), COALESCE(j.n, 0), COALESCE(d.n, 0)
        FROM (SELECT rule_id, count(*) n FROM campaigns_journey GROUP BY 1) j
        FULL JOIN (SELECT rule_id, sum(count)::bigint n FROM campaigns_decisioncount
                   WHERE reason IN ('entered', 'control') GROUP BY 1) d
          ON d.rule_id = j.rule_id
        WHERE COALESCE(j.n, 0) <> COALESCE(d.n, 0)""",
    "messages sent or unknown without an attempt": """
        SELECT m.rule_id, count(*), 0 FROM campaigns_message m
        WHERE m.state IN ('sent', 'unknown', 'sending') AND NOT EXISTS (
          SELECT 1 FROM campaigns_attempt a WHERE a.message_id = m.id)
        GROUP BY 1""",
    "messages accepted more than once": """
        SELECT NULL::bigint, count(*), 0 FROM (
          SELECT message_id FROM campaigns_attempt WHERE state = 'accepted'
          GROUP BY 1 HAVING count(*) > 1) a HAVING count(*) > 0""",
    "rows of customers that do not exist": """
        SELECT NULL::bigint, count(*), 0 FROM campaigns_journey j
        WHERE NOT EXISTS (SELECT 1 FROM campaigns_customer c WHERE c.id = j.customer_id)
        HAVING count(*) > 0""",
}


def differences() -> list[Difference]:
    """Return every sum that does not come out, of one snapshot; empty is right."""
    return list(_differences())


def _differences() -> Iterator[Difference]:
    with connection.cursor() as cursor:
        for what, statement in CHECKS.items():
            cursor.execute(statement)
            for rule, left, right in cursor.fetchall():
                yield Difference(what, rule, left, right)


def totals() -> list[Sums]:
    """Return each rule's totals."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.id,
              COALESCE((SELECT sum(count) FROM campaigns_decisioncount d
                        WHERE d.rule_id = r.id), 0)::bigint,
              COALESCE((SELECT sum(count) FROM campaigns_decisioncount d
                        WHERE d.rule_id = r.id AND reason IN ('entered', 'control')),
                       0)::bigint,
              (SELECT count(*) FROM campaigns_journey j WHERE j.rule_id = r.id),
              (SELECT count(*) FROM campaigns_message m WHERE m.rule_id = r.id)
            FROM campaigns_rule r ORDER BY r.id
            """
        )
        return [Sums(*row) for row in cursor.fetchall()]
