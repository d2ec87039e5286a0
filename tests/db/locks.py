"""Seeing that somebody waits, instead of sleeping and hoping."""

import time

from django.db import connection

PATIENCE_S = 20.0


def wait_until_somebody_waits_for_a_lock():
    """Return once another connection to this database waits for a lock."""
    until = time.monotonic() + PATIENCE_S
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            # Else a transaction goes on seeing the connections that it saw first.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                "WHERE NOT l.granted AND a.datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waited for a lock")
