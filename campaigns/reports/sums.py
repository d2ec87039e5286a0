"""Whether the books balance (design, invariant 9)."""

from dataclasses import dataclass
from typing import Final

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


# Each gives the rule (or null), and two numbers that should be equal but are not.
CHECKS: Final = {
    "open journeys without exactly what their state asks for": """
        SELECT h.rule_id, count(*), 0 FROM (
          SELECT j.rule_id, j.state,
            (SELECT count(*) FROM campaigns_timer t WHERE t.journey_id = j.id) timers,
            (SELECT count(*) FROM campaigns_message m
             WHERE m.journey_id = j.id AND m.redriven_at IS NULL
               AND m.state IN ('queued', 'claimed', 'sending', 'held')) unsettled
          FROM campaigns_journey j WHERE j.ended_at IS NULL) h
        WHERE h.timers <> (h.state = 'waiting')::int
          OR h.unsettled <> (h.state = 'sending')::int
        GROUP BY 1""",
    "timers without a waiting journey of the same customer": """
        SELECT j.rule_id, count(*), 0 FROM campaigns_timer t
        LEFT JOIN campaigns_journey j ON j.id = t.journey_id
        WHERE j.state IS DISTINCT FROM 'waiting' OR j.customer_id <> t.customer_id
        GROUP BY 1""",
    "mails that may still leave, but whose journey is over or another's": """
        SELECT m.rule_id, count(*), 0 FROM campaigns_message m
        LEFT JOIN campaigns_journey j ON j.id = m.journey_id
        WHERE m.state IN ('queued', 'claimed', 'held') AND m.redriven_at IS NULL
          AND m.journey_id IS NOT NULL
          AND (j.id IS NULL OR j.ended_at IS NOT NULL OR j.customer_id <> m.customer_id)
        GROUP BY 1""",
    "mails that wait for a provider that does not exist": """
        SELECT m.rule_id, count(*), 0 FROM campaigns_message m
        WHERE m.not_before IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM campaigns_provider p WHERE p.id = m.provider_id)
        GROUP BY 1""",
    "journeys and entries decided": """
        SELECT COALESCE(j.rule_id, d.rule_id), COALESCE(j.n, 0), COALESCE(d.n, 0)
        FROM (SELECT rule_id, count(*) n FROM campaigns_journey GROUP BY 1) j
        FULL JOIN (SELECT rule_id, sum(count)::bigint n FROM campaigns_decisioncount
                   WHERE reason IN ('entered', 'control') GROUP BY 1) d
          ON d.rule_id = j.rule_id
        WHERE COALESCE(j.n, 0) <> COALESCE(d.n, 0)""",
    "journeys converted and conversions": """
        SELECT COALESCE(j.rule_id, c.rule_id), COALESCE(j.n, 0), COALESCE(c.n, 0)
        FROM (SELECT rule_id, count(*) n FROM campaigns_journey
              WHERE converted_at IS NOT NULL GROUP BY 1) j
        FULL JOIN (SELECT rule_id, count(*) n FROM campaigns_conversion GROUP BY 1) c
          ON c.rule_id = j.rule_id
        WHERE COALESCE(j.n, 0) <> COALESCE(c.n, 0)""",
    "messages without the attempt that their state asks for": """
        SELECT m.rule_id, count(*), 0 FROM campaigns_message m
        WHERE m.state IN ('sent', 'unknown', 'sending') AND NOT EXISTS (
          SELECT 1 FROM campaigns_attempt a WHERE a.message_id = m.id AND a.state =
            CASE m.state WHEN 'sent' THEN 'accepted' WHEN 'unknown' THEN 'ambiguous'
            ELSE 'open' END)
        GROUP BY 1""",
    "attempts open though their message is not sending": """
        SELECT m.rule_id, count(*), 0 FROM campaigns_attempt a
        LEFT JOIN campaigns_message m ON m.id = a.message_id
        WHERE a.state = 'open' AND m.state IS DISTINCT FROM 'sending'
        GROUP BY 1""",
    "messages accepted more than once": """
        SELECT m.rule_id, count(*), 0 FROM (
          SELECT message_id FROM campaigns_attempt WHERE state = 'accepted'
          GROUP BY 1 HAVING count(*) > 1) a
        LEFT JOIN campaigns_message m ON m.id = a.message_id
        GROUP BY 1""",
    "journeys of customers that do not exist": """
        SELECT j.rule_id, count(*), 0 FROM campaigns_journey j
        WHERE NOT EXISTS (SELECT 1 FROM campaigns_customer c WHERE c.id = j.customer_id)
        GROUP BY 1""",
    "open journeys of customers that were merged into others": """
        SELECT j.rule_id, count(*), 0 FROM campaigns_journey j
        JOIN campaigns_customer c ON c.id = j.customer_id
        WHERE j.ended_at IS NULL AND c.merged_into IS NOT NULL
        GROUP BY 1""",
}
# One statement, so that all of them look at the same moment of the work.
_ALL: Final = " UNION ALL ".join(
    f"SELECT {place}, c.* FROM ({statement}) c (rule, one, other)"  # noqa: S608
    for place, statement in enumerate(CHECKS.values())
)


def differences() -> list[Difference]:
    """Return every sum that does not come out, of one snapshot; empty is right."""
    names = list(CHECKS)
    with connection.cursor() as cursor:
        cursor.execute(f"{_ALL} ORDER BY 1, 2")
        return [
            Difference(names[place], rule, one, other)
            for place, rule, one, other in cursor.fetchall()
        ]


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
